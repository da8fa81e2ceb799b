"""A judging: what it does once, and what it says of a server that is mute or gone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from runwire_conformance.case import Claim
from runwire_conformance.client.discovery.diagnosis import NoRunwireServer
from runwire_conformance.client.discovery.locate import ServerUnusable
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.judging import Judging
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.judgement import Accusation, Verdict
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.reason import Kind
from runwire_conformance.verdict.reproduction import Reproduction
from runwire_spec import informational

SAID = {"features": ["resume"], "script_agent": True, "server": {"name": "good", "version": "2"}}
PROFILE = ServerProfile("ws://server/v1/ws", discovery=SAID)


async def body() -> None:
    """Stand for a case that is never played here."""


def played(
    name: str, state: State, *ids: str, seconds: float = 1.0, began_at: float = 0.0, ended_at: float = 0.0
) -> CaseResult:
    """Return a case with its outcome."""
    outcome = Outcome(state, "seen", details="more", seconds=seconds, began_at=began_at, ended_at=ended_at)
    return CaseResult(Case(name, body, Claim(ids)), outcome)


def judging(*cases: CaseResult, profile: ServerProfile | None = PROFILE) -> Judging:
    """Return a judging that is over."""
    engine = Engine(
        "http://server", Options(token="secret"), [one.case for one in cases], profile=profile, seconds=9.0
    )
    engine.outcomes |= {one.name: one.outcome for one in cases if one.outcome is not None}
    return Judging(engine)


def test_a_report_says_what_came_of_everything() -> None:
    unplayed = CaseResult(Case("a::unplayed", body, Claim(("RUN-5",))))
    played_ = (
        unplayed,
        played("a::quick", State.PASSED, "RUN-4"),
        played("a::crawl", State.PASSED, "RESUME-1", seconds=3.0),
        played("a::script", State.NOT_EXERCISED, "SCRIPT-1", seconds=2.0),
        played("a::fault", State.JUDGE_ERROR, "RUN-6"),
    )
    done = judging(*played_)
    done.began = 5.0

    report = done.report()

    assert {j.requirement.id: j.verdict for j in report.judgements} == {
        "RUN-4": Verdict.PASS,
        "RUN-5": Verdict.NOT_EXERCISED,
        "RUN-6": Verdict.JUDGE_ERROR,
        "RESUME-1": Verdict.PASS,
        "SCRIPT-1": Verdict.NOT_EXERCISED,
    }
    assert {result.name for result in report.classes if result.offered} >= {"resume", "script_agent"}
    assert (report.url, report.server, report.seconds, report.began) == ("http://server", "good 2", 9.0, 5.0)
    assert report.slowest == ("a::crawl", 3.0)
    assert report.judge_errors == ("a::fault: seen\nmore",)
    assert report.remarks == ()
    assert report.reproduction == Reproduction("http://server")
    assert report.redaction.masked("a secret") == "a ***"


def test_a_report_on_a_server_that_was_never_seen_names_none() -> None:
    done = judging(profile=None)
    done.fault = "a traceback"

    report = done.report()

    assert (report.server, report.judgements, report.slowest) == ("server", (), ("", 0.0))
    assert report.judge_errors == ("a traceback",)
    assert {result.name for result in report.classes if result.offered} == set()


def test_a_fault_outside_the_cases_stands_before_theirs() -> None:
    done = judging(played("a::fault", State.JUDGE_ERROR, "RUN-6"))
    done.fault = "a traceback"

    assert done.report().judge_errors == ("a traceback", "a::fault: seen\nmore")


def test_what_was_broken_at_first_sight_is_accused() -> None:
    trace = Trace("websocket", "the first look", 0.0)
    broken = ServerProfile(
        "ws://server", discovery=SAID, broken={"RUN-3": "no started"}, shown={"RUN-3": [trace]}
    )

    (judgement,) = judging(profile=broken).report().judgements

    assert (judgement.requirement.id, judgement.reasons) == ("RUN-3", ("no started",))
    assert judgement.accusations[0].traces == (trace,)


def test_what_the_server_breaks_throughout_is_accused() -> None:
    done = judging()
    done.engine.broken_throughout["CLOSE-2"] = "connections break off"

    (judgement,) = done.report().judgements

    assert (judgement.requirement.id, judgement.reasons) == ("CLOSE-2", ("connections break off",))


def test_a_server_that_was_never_seen_has_announced_nothing() -> None:
    (judgement,) = (
        judging(played("a::case", State.NOT_EXERCISED, "SCRIPT-1"), profile=None).report().judgements
    )

    assert judgement.verdict is Verdict.NOT_OFFERED


def test_a_judging_that_was_narrowed_calls_nothing_conformant() -> None:
    done = judging(played("a::case", State.PASSED, "RUN-4"), played("a::slow", State.PASSED, "RUN-5"))
    done.selected = "-k runs"
    done.engine.left_out.add("a::slow")
    done.engine.interrupted = done.engine.timed_out = True

    report = done.report()

    why = "-k runs, --quick left out 1 cases, interrupted, the time limit expired"
    assert (report.partial, report.interrupted) == (why, True)
    assert {result.partial for result in report.classes} == {why}
    assert {result.standing for result in report.classes} == {"partial", "not offered"}
    assert [j.requirement.id for j in report.judgements] == ["RUN-4"]


def test_a_whole_judging_is_called_so() -> None:
    report = judging(played("a::case", State.PASSED, "RUN-4")).report()

    assert (report.partial, report.interrupted) == ("", False)
    assert {result.partial for result in report.classes} == {""}


def test_a_report_says_how_long_was_waited_and_what_was_only_recorded() -> None:
    done = judging()
    name, question = next(iter(informational().items()))
    done.engine.options = Options(patience_s=77.0)
    done.engine.options.observed.note(name, "yes")

    report = done.report()

    assert report.patience_s == 77.0
    assert report.informational == ((name, question, ("yes",)),)


def test_what_the_clock_of_the_judge_left_open_is_not_judged() -> None:
    done = judging(played("a::case", State.PASSED, "RUN-4"))
    done.engine.undecided["RUN-4"] = "this machine stalled for up to 1.0 s"

    report = done.report()

    (open_,) = report.judgements
    assert (open_.verdict, open_.reasons) == (Verdict.NOT_JUDGED, ("this machine stalled for up to 1.0 s",))


def test_only_what_was_asked_for_is_judged() -> None:
    done = judging(played("a::case", State.PASSED, "RUN-4", "RUN-5"))
    done.wanted = lambda requirement: requirement.id == "RUN-5"

    assert [j.requirement.id for j in done.report().judgements] == ["RUN-5"]


def test_a_mute_server_is_accused_of_its_silence() -> None:
    done = judging(played("a::case", State.FAILED, "RUN-4"))
    trace = Trace("http", "GET", 0.0)
    done.engine.unusable = ServerUnusable("CONN-6", "no answer", [trace])

    report = done.report()

    (guilty,) = report.by(Verdict.FAIL)
    accusation = Accusation("the preflight", "no answer", traces=(trace,), kind=Kind.SERVER)
    assert (guilty.requirement.id, guilty.accusations) == ("CONN-6", (accusation,))


@pytest.mark.parametrize(
    ("number", "suspects"),
    [
        (0, ""),
        (1, "; cases running then: a::0"),
        (5, "; cases running then: a::0, a::1, a::2, a::3, a::4"),
        (7, "; cases running then: a::0, a::1, a::2, a::3, a::4, 2 more"),
    ],
)
def test_a_death_names_its_moment_and_who_was_there(number: int, suspects: str) -> None:
    cases = [played(f"a::{n}", State.PASSED, "RUN-4", began_at=12.5, ended_at=12.5) for n in range(number)]
    before = played("a::before", State.PASSED, "RUN-4", began_at=10.0, ended_at=12.4)
    after = played("a::after", State.PASSED, "RUN-4", began_at=12.6, ended_at=13.0)
    done = judging(before, *cases, after, CaseResult(Case("a::unplayed", body, Claim(("RUN-4",)))))
    done.engine.server_gone, done.engine.began_at, done.engine.last_message_at = "refused", 10.0, 12.5

    report = done.report()

    (guilty,) = report.by(Verdict.FAIL)
    said = f"the server stopped responding: refused; its last message arrived 2.5 s after the start{suspects}"
    accusation = Accusation("the final liveness check", said, kind=Kind.GONE)
    assert (guilty.requirement.id, guilty.accusations) == ("CONN-6", (accusation,))
    assert report.remarks == ("The server stopped responding before the end: refused",)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], ""),
        ([(12.0, "a")], "; last messages sent to it: a"),
        ([(12.0, "b"), (11.0, "a")], "; last messages sent to it: a and b"),
        ([(9.0, "a"), (10.0, "b"), (11.0, "c"), (12.0, "d")], "; last messages sent to it: b and c and d"),
        ([(12.5, "with it"), (13.0, "just behind"), (13.01, "too late")],
         "; last messages sent to it: with it and just behind"),
        ([(13.01, "too late")], ""),
    ],
)  # fmt: skip
def test_a_death_names_the_messages_that_may_have_brought_it_about(
    sent: list[tuple[float, str]], told: str
) -> None:
    done = judging()
    done.engine.server_gone, done.engine.began_at, done.engine.last_message_at = "refused", 10.0, 12.5
    done.engine.last_sent += sent

    (guilty,) = done.report().by(Verdict.FAIL)

    said = "the server stopped responding: refused; its last message arrived 2.5 s after the start"
    assert guilty.reasons == (said + told,)


def test_a_death_names_the_cases_before_the_messages() -> None:
    done = judging(played("a::case", State.PASSED, "RUN-4", began_at=12.0, ended_at=13.0))
    done.engine.server_gone, done.engine.last_message_at = "refused", 12.5
    done.engine.last_sent.append((12.0, "cancel"))

    (guilty,) = done.report().by(Verdict.FAIL)

    assert guilty.reasons[0].endswith("; cases running then: a::case; last messages sent to it: cancel")


def test_a_server_that_never_spoke_spoke_at_no_time_before_the_judge_began() -> None:
    done = judging()
    done.engine.server_gone, done.engine.began_at, done.engine.last_message_at = "refused", 10.0, 0.0

    assert "its last message arrived 0.0 s after" in done.report().by(Verdict.FAIL)[0].reasons[0]


def ends(monkeypatch: pytest.MonkeyPatch, problem: Exception | None = None) -> list[Engine]:
    """Have every judging end so at once, and return the engines that were asked to judge."""
    asked: list[Engine] = []

    async def judge_server(engine: Engine) -> None:
        asked.append(engine)
        if problem is not None:
            raise problem

    monkeypatch.setattr("runwire_conformance.runner.judging.judge_server", judge_server)
    return asked


def engine(url: str = "http://server") -> Engine:
    """Return an engine without a case."""
    return Engine(url, Options(), ())


def test_everything_is_played_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ends(monkeypatch)
    asks = engine("http://user:pass@server")
    done = Judging(asks)
    assert (done.played, done.began) == (False, 0.0)

    done.play()
    done.play()

    assert len(asked) == 1
    assert asked[0] is asks
    assert (done.played, done.refused, done.fault) == (True, None, None)
    assert done.began > 1e9
    assert done.reproduction == Reproduction("http://server")
    assert all(map(done.wanted, [None]))  # type: ignore[list-item]


def test_a_judging_knows_how_it_was_called() -> None:
    called = Reproduction("http://server", ("--patience", "5"))

    done = Judging(engine(), reproduction=called, selected="-k runs")

    assert (done.reproduction, done.report().partial) == (called, "-k runs")


def test_what_ends_a_judging_is_nothing_to_judge_or_a_fault_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends(monkeypatch, NoRunwireServer("nobody listens"))
    refused = Judging(engine())
    refused.play()
    ends(monkeypatch, ZeroDivisionError("oops"))
    faulty = Judging(engine())
    faulty.play()

    assert (refused.refused, refused.fault) == ("nobody listens", None)
    assert faulty.refused is None
    assert faulty.fault is not None
    assert "ZeroDivisionError: oops" in faulty.fault


def test_a_case_that_was_not_played_is_no_suspect() -> None:
    done = judging(replace(played("a::case", State.PASSED, "RUN-4"), outcome=None))
    done.engine.server_gone, done.engine.last_message_at = "refused", 0.0

    assert "running then" not in done.report().by(Verdict.FAIL)[0].reasons[0]


def test_cases_play_as_if_this_were_no_ci_so_that_long_lists_are_not_compared_word_by_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str | None] = []

    async def judge(_: Engine) -> None:
        seen.append(os.environ.get("CI"))

    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr("runwire_conformance.runner.judging.judge_server", judge)

    judging().play()

    assert (seen, os.environ["CI"]) == ([None], "true")
