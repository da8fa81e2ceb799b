"""What `runwire check-client` plays again, alone, before it holds it against a client."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from runwire_conformance.tools.check_client.client_under_test.profile import profile_of
from runwire_conformance.tools.check_client.expected.expectation_result import (
    ExpectationResult,
    ExpectationState,
)
from runwire_conformance.tools.check_client.play import PlayResult
from runwire_conformance.tools.check_client.scenario import Scenario
from runwire_conformance.tools.check_client.suite import MOST_AGAIN, Suite
from runwire_conformance.verdict.judgement import Verdict
from tests.proof.clients.careful import Client
from tests.proof.clients.judging import judgements_of
from tests.proof.clients.launching import launcher

HELD, BROKEN, ABSENT, AWAY = (
    ExpectationState.HELD,
    ExpectationState.BROKEN,
    ExpectationState.ABSENT,
    ExpectationState.AWAY,
)
UNSEEN = ExpectationState.NOT_EXERCISED
STALLED = "this machine stalled for up to 1.1 s"

#: What comes of each play of a scenario, the last one of every further play: how all that is expected stands, and
#: whether the judge stalled meanwhile.
Plays = dict[str, list[tuple[ExpectationState, bool]]]


class Scripted(Suite):
    """A suite whose plays come out as they were written down."""

    def __init__(self, plays: Plays) -> None:
        super().__init__(profile_of(["watches", "resumes"], ["websocket"]), launcher(Client))
        self.chosen = lambda scenario: scenario.name in plays
        self.script = plays
        self.played: Counter[str] = Counter()

    async def _play(self, scenario: Scenario, name: str) -> PlayResult:
        told = self.script.get(scenario.name, [(HELD, False)])
        state, stalled = told[min(self.played[scenario.name], len(told) - 1)]
        self.played[scenario.name] += 1
        standings = tuple((one, ExpectationResult(state, "so it was")) for one in scenario.expectations)
        came = PlayResult(scenario, name, standings, (), (), 1.0, connected=True, attached=True)
        open_ = frozenset(scenario.ids) if state is ABSENT else frozenset()
        return replace(came, unsteady=STALLED if stalled else "", undecided=open_)


def judged(requirement: str, plays: Plays) -> tuple[Verdict, tuple[str, ...], Counter[str]]:
    """Return the verdict on a requirement, its reasons, and how often each scenario was played."""
    suite = Scripted(plays)
    asyncio.run(suite.run())  # type: ignore[arg-type]
    judgement = next(one for one in judgements_of(suite) if one.requirement.id == requirement)
    return judgement.verdict, judgement.reasons, suite.played


@pytest.mark.parametrize(
    ("plays", "verdict", "times"),
    [
        ([(HELD, True)], Verdict.PASS, 1),
        ([(BROKEN, False)], Verdict.FAIL, 1),
        ([(BROKEN, True), (HELD, False)], Verdict.PASS, 2),
        ([(BROKEN, True), (BROKEN, True), (HELD, False)], Verdict.PASS, 3),
        ([(BROKEN, True), (BROKEN, False)], Verdict.FAIL, 2),
        ([(BROKEN, True)], Verdict.NOT_JUDGED, 1 + MOST_AGAIN),
        ([(ABSENT, False), (HELD, False)], Verdict.PASS, 2),
        ([(ABSENT, False)], Verdict.FAIL, 2),
        ([(ABSENT, False), (ABSENT, True)], Verdict.NOT_JUDGED, 1 + MOST_AGAIN),
        ([(UNSEEN, True)], Verdict.NOT_EXERCISED, 1),
    ],
)
def test_what_a_stall_may_have_caused_is_played_again_until_there_was_none(
    plays: list[tuple[ExpectationState, bool]], verdict: Verdict, times: int
) -> None:
    came, reasons, played = judged("CONN-13", {"another_version": plays})

    assert (came, played["another_version"]) == (verdict, times)
    assert (STALLED in reasons) is (verdict is Verdict.NOT_JUDGED)


def test_who_is_seen_late_to_come_back_is_looked_at_again_wherever_it_stayed_away() -> None:
    verdict, _, played = judged(
        "RESUME-20",
        {
            "duplicates_by_the_cursor": [(AWAY, False), (HELD, False)],
            "told_to_resume_at_once": [(ABSENT, False)],
            "told_to_resume_behind_each_event": [(ABSENT, False), (HELD, False)],
        },
    )

    assert (verdict, played["duplicates_by_the_cursor"]) == (Verdict.PASS, 2)


def test_who_comes_back_nowhere_is_not_looked_at_again_for_each_time() -> None:
    verdict, reasons, played = judged(
        "RESUME-20",
        {"duplicates_by_the_cursor": [(AWAY, False)], "told_to_resume_at_once": [(ABSENT, False)]},
    )

    assert (verdict, reasons) == (Verdict.NOT_EXERCISED, ("blocked by CLOSE-4",))
    assert played["duplicates_by_the_cursor"] == 1
