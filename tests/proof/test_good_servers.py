"""Servers that share no code with the reference server pass: nothing is accused, and every claim is shown."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.good_servers import GOOD_SERVERS, SMALLEST, GoodServer, start
from tests.support.check_reference_server import CHECK_LIMITS, hooks_alone
from tests.support.programs import require_program

pytestmark = pytest.mark.whole


TUTORIAL = Path(__file__).parents[2] / "docs/pages/tutorial.md"


@pytest.mark.parametrize("good", GOOD_SERVERS, ids=lambda good: good.name)
def test_a_good_server_is_conformant(good: GoodServer) -> None:
    for program, apt in good.programs:
        require_program(program, apt)

    async def run() -> Verdicts:
        server = await start(good, CHECK_LIMITS)
        try:
            settings = hooks_alone(drain=f"kill -TERM {server.process.pid}")
            return await judge(server.url, ["--strict"], settings=settings)
        finally:
            await server.stop()

    verdicts = asyncio.run(run())

    assert verdicts.blamed == (), verdicts.output
    assert verdicts.exit_code == 0, verdicts.output
    conformant = {name for name, standing in verdicts.classes.items() if standing == "conformant"}
    assert conformant == good.classes, verdicts.output


def test_the_tutorial_shows_the_whole_file_in_order() -> None:
    shown = re.findall(r"^<<< \S+/smallest\.py: (.+)$", TUTORIAL.read_text(), re.MULTILINE)

    assert shown == re.findall(r"^ *# --- (.+) ---$", SMALLEST.read_text(), re.MULTILINE)
