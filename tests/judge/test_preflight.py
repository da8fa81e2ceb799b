"""The preflight waits for what the user asked about, and for nothing else."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from runwire_conformance.case import Broken
from runwire_conformance.client.discovery.locate import ServerUnusable
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.runner.phases import preflight
from runwire_conformance.trace.clock import Clock
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.memory_budget import FLOOD_RECORDS
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Trace


@pytest.mark.parametrize(
    ("missing", "asked", "looks"),
    [
        ({"CONN-15": "no ready"}, {"MSG-1", "CONN-6"}, [True]),
        ({"CONN-15": "no ready"}, {"MSG-1", "BEAT-5"}, [False, False]),
        ({"CONN-15": "no ready"}, None, [False, False]),
        ({}, {"MSG-1"}, [False, False]),
    ],
    ids=[
        "a basic server, asked about class basic",
        "asked about heartbeats",
        "asked about all",
        "a core server",
    ],
)
def test_an_answer_that_nobody_asked_about_is_waited_for_once_and_in_short(
    monkeypatch: pytest.MonkeyPatch, missing: dict[str, str], asked: set[str] | None, looks: list[bool]
) -> None:
    taken: list[bool] = []

    async def whole(*_: object) -> preflight.PreflightResult:
        return preflight.PreflightResult()

    async def run(*_: object) -> preflight.PreflightResult:
        return preflight.PreflightResult(dict(missing))

    async def heartbeat(_: object, *, brief: bool = False) -> preflight.PreflightResult:
        taken.append(brief)
        return preflight.PreflightResult({"BEAT-5": "unanswered"}, absent=not brief)

    for name, look in {"_handshake": whole, "_run": run, "_heartbeat": heartbeat, "_close": whole}.items():
        monkeypatch.setattr(preflight, name, look)

    async def look() -> Any:
        return await preflight.preflight(ServerProfile("ws://server/ws"), Options(), Clock(), asked)

    profile = asyncio.run(look())

    assert taken == looks
    assert profile.broken["BEAT-5"] == "unanswered"


def test_a_connection_without_ready_is_no_handshake_that_was_refused() -> None:
    class Silent:
        """A server whose further connections say nothing before they are asked."""

        limits, clock = Limits({}), SimpleNamespace(tolerance=0.25)

        async def connect(self, *, ready: bool) -> Any:
            if ready:
                await self.await_ready(None)
            return SimpleNamespace()

        async def await_ready(self, _: object) -> None:
            raise Broken("expected ready", ("CONN-15",))

    silent: Any = Silent()

    assert asyncio.run(preflight._cancel(silent)).missing == {}


def test_a_heartbeat_answers_no_prompt_whatever_it_says_that_it_answers() -> None:
    class Beating:
        """A connection on which nothing but a heartbeat with a wrong `re` comes."""

        ended = True
        messages = (Message(type="ready"), Message(type="heartbeat", re="0"))

        async def message(self, wanted: Any, *_: object) -> Message:
            for message in self.messages:
                if wanted(message):
                    return message
            raise Broken("nothing else came")

    beating: Any = Beating()
    target: Any = SimpleNamespace(profile=SimpleNamespace(discovery={}), plain="a prompt")
    seen = preflight.PreflightResult()

    asyncio.run(preflight._opened(target, beating, 0, seen))

    assert seen.missing == {"RUN-3": "a prompt was not answered with started"}


def test_a_run_that_pours_out_events_is_followed_to_the_bytes_that_prove_it_endless() -> None:
    class Pouring:
        """A connection whose records are full, so that what comes is counted and kept no more."""

        ended = False
        messages = [Message(type="token")] * FLOOD_RECORDS
        trace = Trace("websocket", "a talk", flooded_at=FLOOD_RECORDS, endless_bytes=8_000_000)

        async def message(self, *_: object) -> None:
            self.trace.count(3_000_000)
            raise Broken("no terminal came")

    pouring: Any = Pouring()

    with pytest.raises(ServerUnusable, match="without end"):
        asyncio.run(preflight._poured(pouring, 0))
