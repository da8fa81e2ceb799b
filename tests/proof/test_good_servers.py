"""Servers that share no code with the reference server pass: nothing is accused, and every claim is shown."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.good_servers import GOOD_SERVERS, SMALLEST, GoodServer, start
from tests.support.check_reference_server import CHECK_LIMITS, hooks_alone
from tests.support.programs import require_program

pytestmark = pytest.mark.whole


TUTORIAL = Path(__file__).parents[2] / "docs/pages/tutorial.md"


#: What a judge on a busy machine may not see: whether a Pong or the judge was late.
SEEN_IN_TIME = {"BEAT-8"}


@pytest.mark.parametrize("good", GOOD_SERVERS, ids=lambda good: good.name)
def test_a_good_server_is_conformant(good: GoodServer) -> None:
    for program, apt in good.programs:
        require_program(program, apt)

    async def run() -> Verdicts:
        server = await start(good, CHECK_LIMITS)
        try:
            settings = hooks_alone(drain=f"kill -TERM {server.process.pid}")
            return await judge(server.url, settings=settings)
        finally:
            await server.stop()

    verdicts = asyncio.run(run())

    assert verdicts.blamed == (), verdicts.output
    assert verdicts.exit_code == 0, verdicts.output
    unseen = {name for name, verdict in verdicts.by_requirement.items() if verdict == "not exercised"}
    assert unseen <= SEEN_IN_TIME, verdicts.output
    conformant = {name for name, standing in verdicts.classes.items() if standing == "conformant"}
    assert conformant | ({"robust"} if unseen else set()) == good.classes, verdicts.output


@pytest.mark.parametrize("good", GOOD_SERVERS, ids=lambda good: good.name)
def test_a_good_server_sends_a_reader_that_lags_the_rest_before_it_stops(good: GoodServer) -> None:
    for program, apt in good.programs:
        require_program(program, apt)
    pieces, piece = 300, "x" * 100_000  # more than the buffers of the network hold
    prompt = json.dumps({"runwire_script": [{"repeat": pieces, "steps": [{"token": piece}]}]})
    limits = {"drain_s": 60, "heartbeat_s": 10, "log_bytes": 64_000_000, "pong_timeout_s": 60, "run_s": 60}

    async def read(messages: list[dict[str, Any]]) -> None:
        server = await start(good, {**CHECK_LIMITS, **limits})
        try:
            url = f"{server.url.replace('http', 'ws', 1)}/ws/generate"
            async with connect(
                url, compression=None, max_size=None, max_queue=1, ping_interval=None
            ) as lagging:
                await lagging.send(json.dumps({"prompt": prompt}))
                while json.loads(await lagging.recv())["type"] != "started":
                    pass
                server.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(5)  # any time above what a server that does not wait takes to end
                async for message in lagging:
                    messages.append(json.loads(message))
        finally:
            await server.stop()

    messages: list[dict[str, Any]] = []
    with suppress(ConnectionClosed):
        asyncio.run(read(messages))

    assert sum(len(message["data"]) for message in messages if message["type"] == "token") == pieces * len(
        piece
    )
    assert [message["status"] for message in messages if message["type"] == "done"] == ["completed"]


def test_the_tutorial_shows_the_whole_file_in_order() -> None:
    shown = re.findall(r"^<<< \S+/smallest\.py: (.+)$", TUTORIAL.read_text(), re.MULTILINE)

    assert shown == re.findall(r"^ *# --- (.+) ---$", SMALLEST.read_text(), re.MULTILINE)
