"""The judge of clients blames every flawed client, and accuses no careful one."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

import pytest
from websockets.asyncio.client import ClientConnection

from runwire_conformance.tools.check_client.client_under_test.profile import bound, profile_of
from runwire_conformance.tools.check_client.expected.expectation_result import ExpectationState
from runwire_conformance.tools.check_client.play import play
from runwire_conformance.tools.check_client.scenario import scenarios
from runwire_conformance.tools.check_client.suite import Suite
from runwire_conformance.verdict.judgement import Verdict
from runwire_schemas import server_message_violations
from tests.proof.clients.careful import Client
from tests.proof.clients.flaws import FLAWS, Flaw
from tests.proof.clients.judging import false_blame, guilty, judged, judgements_of, played
from tests.proof.clients.launching import launcher
from tests.support.patience import patience


def test_the_careful_client_keeps_every_requirement() -> None:
    suite = asyncio.run(played(Client, patience(4)))

    verdicts = {one.requirement.id: one.verdict for one in judgements_of(suite)}
    assert verdicts == dict.fromkeys(bound(), Verdict.PASS)
    for message in (
        message for one in suite.plays for trace in one.traces for message in trace.messages("server")
    ):
        foreign = message.get("version") == 2 or message.get("protocol") == "acme"
        assert foreign or not server_message_violations(message), message


@pytest.mark.whole
@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_a_flawed_client_is_blamed_for_its_own_requirement(flaw: Flaw) -> None:
    blamed = guilty(asyncio.run(judged(flaw.kind, patience(4), frozenset([flaw.breaks]))))

    assert flaw.breaks in blamed
    assert false_blame(flaw, blamed) == {}


def test_every_requirement_has_a_scenario_and_a_flaw() -> None:
    about = {identifier for scenario in scenarios() for identifier in scenario.ids}

    assert about == bound().keys()
    assert {flaw.breaks for flaw in FLAWS} == bound().keys()


class SaysThatAllIsWell(Client):
    async def run(self) -> None:
        self.report(text="w1 w2 w3 w4 w5 w6 w7 w8 ", calls={"c1": "found", "c2": "found"}, ended="completed")


class SaysThatItIsCancelled(Client):
    async def run(self) -> None:
        self.report(ended="cancelled")


class SaysThatItFailed(Client):
    async def run(self) -> None:
        self.report(ended="failed", code="internal", gave_up="no")


class SaysBeforehandThatAllIsWell(Client):
    async def run(self) -> None:
        say, self.report = self.report, lambda **_: None
        say(text="w1 w2 w3 w4 w5 w6 w7 w8 ", calls={"c1": "found", "c2": "found"}, ended="completed")
        await super().run()


class SaysNothing(Client):
    async def run(self) -> None:
        await asyncio.sleep(0)


class ConnectsAndSaysThatAllIsWell(SaysThatAllIsWell):
    async def run(self) -> None:
        place = self.told["url"].partition("://")[2].partition("/")[0]
        _, writer = await asyncio.open_connection(*place.split(":"))
        writer.close()
        await super().run()


@pytest.mark.parametrize(
    "kind",
    [SaysThatAllIsWell, SaysThatItFailed, SaysThatItIsCancelled, SaysNothing, ConnectsAndSaysThatAllIsWell],
)
def test_a_client_that_does_nothing_passes_no_scenario(kind: type[Client]) -> None:
    async def all_of_them() -> list[ExpectationState]:
        plays = [play(one, name, launcher(kind), 1.0) for one in scenarios() for name in one.transports]
        return [standing.state for played in await asyncio.gather(*plays) for _, standing in played.standings]

    states = asyncio.run(all_of_them())

    assert set(states) == {ExpectationState.NOT_EXERCISED}


def test_what_a_client_reports_before_it_can_know_shows_nothing() -> None:
    suite = asyncio.run(played(SaysBeforehandThatAllIsWell, patience(3)))

    shown = [
        (one, standing) for play in suite.plays for one, standing in play.standings if one.see == "shows"
    ]
    assert shown
    assert [(one, standing) for one, standing in shown if standing.state is ExpectationState.HELD] == []


class HangsOnce(Client):
    started: ClassVar[list[str]] = []

    async def run(self) -> None:
        self.started.append(self.told["url"])
        if len(self.started) == LAST:
            await asyncio.Event().wait()
        await super().run()


#: Clients that are started for one scenario of one transport: to see it come, and how it takes a refusal, and to play.
LAST = 3


def test_a_client_that_was_not_heard_of_is_tried_again_alone() -> None:
    HangsOnce.started.clear()
    suite = Suite(profile_of(["watches"], ["websocket"]), launcher(HangsOnce), patience(0.7))
    suite.chosen = lambda scenario: scenario.name == "heartbeats"
    asyncio.run(suite.run())  # type: ignore[arg-type]

    assert len(HangsOnce.started) == LAST + 1
    assert [play.has("BEAT-10", ExpectationState.HELD) for play in suite.plays] == [True]


class StallsTheJudge(Client):
    """A client that does not wait for `ready`, and before its start pauses the judge's loop, which is its own."""

    async def say_first(self, socket: ClientConnection) -> None:
        time.sleep(STALL_S)  # noqa: ASYNC251 - the loop of the judge is what has to stand still
        self.is_socket = True
        await super().say_first(socket)


#: Longer than a `start` may be under way that crosses a `ready`.
STALL_S = 1.1


def test_what_the_judge_never_saw_without_a_stall_is_not_judged() -> None:
    suite = Suite(profile_of(["watches"], ["websocket"]), launcher(StallsTheJudge), patience(2))
    suite.chosen = lambda scenario: scenario.name == "another_version"
    asyncio.run(suite.run())  # type: ignore[arg-type]

    judgement = next(one for one in judgements_of(suite) if one.requirement.id == "CONN-13")
    assert judgement.verdict is Verdict.NOT_JUDGED
    assert [reason for reason in judgement.reasons if "stalled for up to" not in reason] == []
