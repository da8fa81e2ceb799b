"""Whatever a conformant server may do differently, the judge accuses it of nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from flaws.benign import BENIGN, Benign
from flaws.judge import Verdicts, judge
from flaws.proxy import Proxy
from flaws.stand import start_server

PARALLEL = 2


@pytest.fixture(scope="session")
def judged() -> dict[str, Verdicts]:
    """Judge every benign server with the whole suite, some at a time."""

    async def one(benign: Benign, places: asyncio.Semaphore) -> Verdicts:
        async with places:
            server = await start_server(benign.stand, script_agent=benign.script_agent)
            rewrite = benign.make()
            rewrite.limits, rewrite.credentials = server.limits, server.credentials
            try:
                async with Proxy(server.url, rewrite).listening() as proxy:
                    settings = server.settings(benign.stand)
                    return await judge(proxy.url, settings=settings, environment=server.environment)
            finally:
                await server.stop()

    async def everyone() -> dict[str, Verdicts]:
        places = asyncio.Semaphore(PARALLEL)
        verdicts = await asyncio.gather(*(one(benign, places) for benign in BENIGN))
        return {benign.name: found for benign, found in zip(BENIGN, verdicts, strict=True)}

    return asyncio.run(everyone())


@pytest.mark.parametrize("benign", BENIGN, ids=lambda benign: benign.name)
def test_a_benign_change_is_not_blamed(benign: Benign, judged: dict[str, Verdicts]) -> None:
    verdicts = judged[benign.name]

    blames = {blame.requirement: (blame.cases, blame.reasons) for blame in verdicts.blames}
    assert verdicts.exit_code == 0, (
        f"{benign.description}\n{json.dumps(blames, indent=1)}\n{verdicts.output[-2000:]}"
    )
    assert blames == {}
    assert "pass" in verdicts.by_requirement.values()
