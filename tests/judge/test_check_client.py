"""`runwire check-client`: scenarios that cannot be meant, what is seen of a client, verdicts, and mistyped calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runwire_conformance.tools.check_client.client_under_test.launch_parameters import LaunchParameters
from runwire_conformance.tools.check_client.client_under_test.profile import NoClaim, bound, profile_of
from runwire_conformance.tools.check_client.client_under_test.reports import NoReport, report_in
from runwire_conformance.tools.check_client.expected.back_off import missing_growth, missing_jitter
from runwire_conformance.tools.check_client.expected.expectation_result import (
    ExpectationResult,
    ExpectationState,
    PlayContext,
)
from runwire_conformance.tools.check_client.expected.expectations import result_of
from runwire_conformance.tools.check_client.play import PlayResult
from runwire_conformance.tools.check_client.scenario import (
    Expectation,
    Scenario,
    ScenarioError,
    read_scenarios,
    scenarios,
)
from runwire_conformance.tools.check_client.server.scenario_run import ScenarioRun
from runwire_conformance.tools.check_client.verdicts import judge_client, results
from runwire_conformance.tools.check_client.wire_log import LogEntry, WireLog
from runwire_conformance.verdict.judgement import Verdict
from runwire_schemas import violations
from runwire_spec import registries
from tests.support.patience import patience

RUNWIRE = str(Path(sys.executable).parent / "runwire")
HEAD = '[[scenario]]\nname = "x"\nabout = "something happens"\nclass = "resumes"\n'
SHOWN = 'expect = [{id = "EVENT-6", see = "shows", text = "a"}]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + 'expect = [{id = "RUN-4", see = "shows", text = "a"}]', "RUN-4 is not a requirement of the role"),
        (HEAD + 'expect = [{id = "RUN-11", see = "shows", text = "a"}]', "RUN-11 cannot be judged"),
        (HEAD + 'expect = [{id = "EVENT-6", see = "show"}]', "unknown expectation 'show'; the expectations are:"),
        (HEAD + 'expect = [{id = "EVENT-6", see = "shows"}]', "shows what?"),
        (HEAD + 'expect = [{id = "EVENT-6", see = "shows", txt = "a"}]', "'txt' was unexpected"),
        (HEAD + SHOWN + "colour = 1", "'colour' was unexpected"),
        (HEAD + SHOWN + "attach = [{steps = [{events = 99}]}]", "events 99: the log has 9 events"),
        (HEAD + SHOWN + "attach = [{steps = [{merge = [3, 2]}]}]", "merge [3, 2]"),
        (HEAD + SHOWN + "attach = [{steps = [{close = 1011}]}]", "a stream cannot be closed with 1011"),
        (HEAD + SHOWN + 'attach = [{steps = [{text = "x"}]}]', "text is a step for websocket alone"),
        (HEAD + SHOWN + 'attach = [{steps = [{await = "cancel"}]}]', "nobody tells the client to cancel"),
        (HEAD + SHOWN + "attach = [{answer = {status = 502}}]", "answer is what a gateway says over HTTP"),
        (HEAD + SHOWN + "basic = true", "basic servers and handshakes are of the WebSocket alone"),
        (
            HEAD + 'expect = [{id = "CLOSE-6", see = "stays_away", after_mark = "m", kind = "start"}]',
            "no step sets the mark m",
        ),
        (
            HEAD + 'expect = [{id = "CLOSE-4", see = "attach", number = 2, optional = true}]',
            "nothing is asked shows nothing",
        ),
        (HEAD + 'expect = [{id = "RUN-12", see = "attach", number = 1, run_id = "same"}]', "nothing to be the same"),
        (HEAD + 'expect = [{id = "FALL-3", see = "polls"}]', "no stream is gathered"),
        (HEAD + 'expect = [{id = "FALL-2", see = "discovers"}]', "may choose its transport"),
        (HEAD + 'expect = [{id = "CONN-5", see = "keeps_credentials"}]', "there is no credential to keep"),
        (HEAD + 'expect = [{id = "CANCEL-15", see = "shows_no_end_before", mark = "over"}]', "has one end"),
        (HEAD.replace("resumes", "flies") + SHOWN, "unknown client class flies"),
        (
            HEAD.replace("resumes", "watches") + SHOWN + "attach = [{steps = [{events = 2}, {close = 4000}]}]",
            "need not resume does not see the end",
        ),
        (HEAD + SHOWN + "given = 9", "given 9: the log has 9 events"),
        (HEAD + SHOWN + "given = 3", "events before the given cursor"),
        (HEAD + SHOWN + "discovery = [{gather = true}]", "is no stream to gather"),
        (HEAD + 'expect = [{id = "RESUME-22", see = "attach", number = 1, by = "resume"}]', "has no run to resume"),
        ("[[scenario]", "x.toml: "),
    ],
)  # fmt: skip
def test_a_scenario_that_cannot_be_meant_is_an_error(text: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=r"x\.toml") as problem:
        read_scenarios(text, "x.toml")

    assert told in str(problem.value)


@pytest.mark.parametrize(
    ("waits", "seconds", "hasty"),
    [
        ([0.05] * 5, 8, True),
        ([0.05] * 4 + [0.3, 0.05], 8, False),
        ([0.2] * 33, 8, True),
        ([0.1, 0.5, 1.3, 0.4], 8, False),
        ([], 8, False),
    ],
)
def test_returns_that_do_not_grow_are_told(waits: list[float], seconds: float, hasty: bool) -> None:
    assert bool(missing_growth(waits, seconds)) is hasty


@pytest.mark.parametrize(
    ("waits", "even"),
    [
        ([1.0, 1.01, 1.0, 0.99, 1.0], True),
        ([1.0, 1.01, 1.0, 0.99], False),
        ([0.3, 0.6, 1.2, 2.4], True),
        ([0.3, 0.6, 1.2], False),
        ([0.3, 0.5, 1.4, 2.1, 0.2, 3.3], False),
        ([0.01] * 9, False),
    ],
)
def test_waits_without_jitter_are_told(waits: list[float], even: bool) -> None:
    assert bool(missing_jitter(waits)) is even


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("Listening", None),
        ('{"level": "info"}', None),
        ("{not json", None),
        ('{"runwire": {"text": "a", "ended": "failed"}}', {"text": "a", "ended": "failed"}),
    ],
)
def test_a_report_is_told_from_other_output(line: str, report: dict[str, Any] | None) -> None:
    assert report_in(line) == report


@pytest.mark.parametrize(
    "line", ['{"runwire": {"txt": "a"}}', '{"runwire": {"ended": "done"}}', '{"runwire": 1}']
)
def test_a_mistaken_report_is_told(line: str) -> None:
    with pytest.raises(NoReport):
        report_in(line)


def seen(*entries: tuple[float, str, int, dict[str, Any]]) -> WireLog:
    log = WireLog(began=0.0)
    log.entries = [LogEntry(at, kind, connection, members) for at, kind, connection, members in entries]
    return log


def attach(
    at: float, number: int, by: str, after: int = 0, **more: Any
) -> tuple[float, str, int, dict[str, Any]]:
    members = {
        "number": number,
        "by": by,
        "after": after,
        "run_id": "r",
        "transport": "websocket",
        "epoch": "e1",
        **more,
    }
    return at, "attach", number, members


def ended(at: float, number: int) -> tuple[float, str, int, dict[str, Any]]:
    return at, "mark", number, {"name": "ended", "attach": number}


def standing(
    log: WireLog, see: str, now: float = 9.0, over: bool = True, **members: Any
) -> ExpectationResult:
    scenario = Scenario("x", "about", "watches", ("websocket",), (), ({"type": "done", "seq": 1},))
    expectation = Expectation("RESUME-21", see, members)
    return result_of(expectation, PlayContext(scenario, log, now, over))


ENDED = {"ended": "completed"}
START, BACK = attach(1.0, 1, "start"), attach(3.0, 2, "resume", 3)


@pytest.mark.parametrize(
    ("log", "members", "state"),
    [
        (seen(), {}, ExpectationState.NOT_EXERCISED),
        (seen(START), {}, ExpectationState.NOT_EXERCISED),
        (seen(START, ended(2.0, 1)), {}, ExpectationState.ABSENT),
        (seen(START, ended(2.0, 1)), {"returning": True}, ExpectationState.AWAY),
        (seen(START, ended(2.0, 1)), {"optional": True}, ExpectationState.NOT_EXERCISED),
        (
            seen(START, ended(2.0, 1), BACK),
            {"by": "resume", "after": 3, "epoch": "e1"},
            ExpectationState.HELD,
        ),
        (seen(START, ended(2.0, 1), BACK), {"after": 4}, ExpectationState.BROKEN),
        (seen(START, ended(2.0, 1), BACK), {"epoch": "e2"}, ExpectationState.BROKEN),
        (
            seen(START, ended(2.0, 1), attach(3.0, 2, "start")),
            {"epoch": "e2"},
            ExpectationState.NOT_EXERCISED,
        ),
        (seen(START, ended(2.0, 1), BACK), {"within_s": 0.5}, ExpectationState.ABSENT),
        (
            seen(START, ended(2.0, 1), attach(3.0, 2, "resume", 0)),
            {"after": 4},
            ExpectationState.NOT_EXERCISED,
        ),
        (
            seen(START, ended(2.0, 1), attach(3.0, 2, "resume", 0)),
            {"after": 4, "exact": True},
            ExpectationState.BROKEN,
        ),
        (
            seen(START, ended(2.0, 1), attach(3.0, 2, "start")),
            {"by": "resume"},
            ExpectationState.NOT_EXERCISED,
        ),
        (
            seen(START, ended(2.0, 1), attach(3.0, 2, "start", run_id=None)),
            {"by": "resume"},
            ExpectationState.BROKEN,
        ),
        (
            seen(START, ended(2.0, 1), attach(3.0, 2, "start", run_id="s")),
            {"run_id": "same"},
            ExpectationState.BROKEN,
        ),
        (seen(START, ended(2.0, 1), attach(3.0, 2, "start")), {"run_id": "new"}, ExpectationState.BROKEN),
        (seen(START, ended(2.0, 1), BACK), {"token": "new"}, ExpectationState.BROKEN),
    ],
)
def test_a_return_is_judged_by_what_came(
    log: WireLog, members: dict[str, Any], state: ExpectationState
) -> None:
    assert standing(log, "attach", number=2, **members).state is state


@pytest.mark.parametrize("run_id", ["r", None])
def test_a_client_that_does_not_take_up_a_run_is_accused_of_nothing(run_id: str | None) -> None:
    given = Scenario("x", "about", "resumes", ("sse",), (), ({"type": "done", "seq": 1},), given=1)
    log = seen(attach(1.0, 1, "start", run_id=run_id), ended(2.0, 1), attach(3.0, 2, "start", run_id=run_id))

    for number in (1, 2):
        asked = Expectation("RESUME-22", "attach", {"number": number, "by": "resume", "epoch": "e1"})
        assert (
            result_of(asked, PlayContext(given, log, 9.0, over=True)).state is ExpectationState.NOT_EXERCISED
        )


def test_whoever_gives_no_sign_of_life_has_not_stayed_away() -> None:
    begun = [START, (2.0, "mark", 1, {"name": "closed"})]
    asked = {"after_mark": "closed", "kind": "connection"}

    assert standing(seen(*begun), "stays_away", **asked).state is ExpectationState.NOT_EXERCISED
    assert standing(seen(*begun, (2.1, "close", 1, {})), "stays_away", **asked).state is ExpectationState.HELD
    assert standing(
        seen(*begun, (2.1, "close", 1, {}), (2.5, "handshake", 2, {})), "stays_away", **asked
    ).state is (ExpectationState.BROKEN)


def test_what_is_shown_counts_when_the_log_was_whole() -> None:
    cut = [START, ended(2.0, 1), (2.5, "report", 0, {"text": "a"})]
    whole = [*cut, (3.0, "mark", 1, {"name": "over"})]

    assert standing(seen(*cut), "shows", text="ab").state is ExpectationState.AWAY
    assert standing(seen(*whole), "shows", text="ab").state is ExpectationState.BROKEN
    assert standing(seen(*whole), "shows", text="a").state is ExpectationState.HELD
    assert standing(seen(*whole), "shows", ended="completed").state is ExpectationState.NOT_EXERCISED


def test_what_is_right_can_be_taken_back_until_the_client_shows_an_end_or_rests() -> None:
    log = seen(START, (2.5, "report", 0, {"text": "a"}), (3.0, "mark", 1, {"name": "over"}))
    told = seen(
        *((one.at, one.kind, one.connection, one.members) for one in log.entries), (3.1, "report", 0, ENDED)
    )

    assert standing(log, "shows", now=3.2, over=False, text="a").state is ExpectationState.PENDING
    assert standing(log, "shows", now=9.0, over=False, text="a").state is ExpectationState.HELD
    assert standing(told, "shows", now=3.2, over=False, text="a").state is ExpectationState.HELD


@pytest.mark.parametrize(
    ("reported_at", "state"), [(1.5, ExpectationState.NOT_EXERCISED), (2.5, ExpectationState.HELD)]
)
def test_an_end_that_is_reported_before_it_came_shows_nothing(
    reported_at: float, state: ExpectationState
) -> None:
    log = seen(START, (reported_at, "report", 0, ENDED), (3.0, "mark", 1, {"name": "over"}))
    log.said[1] = 2.0

    assert standing(log, "shows", ended="completed").state is state


def test_what_another_sentence_explains_is_not_held_against_this_one() -> None:
    log = seen(
        START, (2.0, "mark", 1, {"name": "over"}), (2.5, "report", 0, {"text": "b", "ended": "completed"})
    )
    wrong = {"see": "shows", "text": "a"}

    assert standing(log, **wrong).state is ExpectationState.BROKEN
    blocked = standing(log, **wrong, blocked={"b": "EVENT-6"})
    assert (blocked.state, blocked.reason) == (ExpectationState.NOT_EXERCISED, "blocked by EVENT-6")


def test_a_run_that_a_client_stopped_watching_is_not_cancelled() -> None:
    left = seen(START, (2.0, "report", 0, {"ended": "cancelled"}))

    assert standing(left, "shows_no_end_before", mark="over").state is ExpectationState.BROKEN
    assert (
        standing(seen((2.0, "report", 0, {"ended": "cancelled"})), "shows_no_end_before", mark="over").state
        is ExpectationState.NOT_EXERCISED
    )


def test_one_poll_is_no_polling() -> None:
    gathered = attach(1.0, 1, "start", transport="sse")
    polls = [(at, "poll", 0, {"page": True}) for at in (7.0, 8.0)]

    assert standing(seen(gathered, polls[0]), "polls").state is ExpectationState.ABSENT
    assert standing(seen(gathered, *polls), "polls").state is ExpectationState.HELD


def played(name: str, transport: str, *states: ExpectationState) -> PlayResult:
    scenario = next(one for one in scenarios() if one.name == name)
    standings = tuple(
        zip(scenario.expectations, (ExpectationResult(state, "why") for state in states), strict=True)
    )
    return PlayResult(scenario, transport, standings, (), (), 1.0)


@pytest.mark.parametrize(
    ("state", "returning", "verdict"),
    [
        (ExpectationState.HELD, frozenset(), Verdict.PASS),
        (ExpectationState.BROKEN, frozenset(), Verdict.FAIL),
        (ExpectationState.ABSENT, frozenset(), Verdict.FAIL),
        (ExpectationState.AWAY, frozenset({"sse"}), Verdict.FAIL),
        (ExpectationState.AWAY, frozenset(), Verdict.NOT_EXERCISED),
        (ExpectationState.NOT_EXERCISED, frozenset(), Verdict.NOT_EXERCISED),
    ],
)
def test_a_verdict_follows_from_what_came(
    state: ExpectationState, returning: frozenset[str], verdict: Verdict
) -> None:
    plays = [played("half_an_event", "sse", state, ExpectationState.NOT_EXERCISED)]

    (judgement,) = judge_client(plays, profile_of(["all"], []), ["SSE-27"], returning)

    assert judgement.verdict is verdict


def test_what_is_not_claimed_is_not_offered() -> None:
    judgements = judge_client([], profile_of([], ["websocket"]), [*bound()], frozenset())
    standings = {one.name: one.standing for one in results(judgements, profile_of([], ["websocket"]))}

    verdicts = {one.requirement.id: one.verdict for one in judgements}
    assert (verdicts["CLOSE-4"], verdicts["SSE-27"]) == (Verdict.NOT_OFFERED, Verdict.NOT_OFFERED)
    assert verdicts["EVENT-6"] is Verdict.NOT_EXERCISED
    assert standings == {"watches": "not shown"} | dict.fromkeys(
        ("cancels", "resumes", "falls_back"), "not offered"
    )


def test_a_claim_brings_what_it_needs() -> None:
    assert profile_of(["falls_back"], []).classes == {"watches", "resumes", "falls_back"}
    with pytest.raises(NoClaim, match="the classes are: watches"):
        profile_of(["fly"], [])


def test_every_requirement_of_clients_is_in_one_class() -> None:
    listed = [name for row in registries()["client_classes"] for name in row["requirements"].split()]

    assert len(listed) == len(set(listed))
    assert {*bound()} == {name for one in scenarios() for name in one.ids}


def test_what_the_server_of_a_scenario_answers_over_http_is_valid() -> None:
    for scenario in scenarios():
        run = ScenarioRun(scenario)
        run.begun(None)
        run.said = run.last
        assert violations("run-status", run.state()) == []
        assert violations("run-events", run.page(0)) == [] or any(":" in one["type"] for one in scenario.log)


def test_a_command_is_told_by_placeholders_and_environment() -> None:
    told = LaunchParameters("http://h", "ws://h/ws", "http://h/runs", "Hi.", "sse")

    assert told.command(["x", "{url}/{transport}", "{}"]) == ["x", "http://h/sse", "{}"]
    assert told.environment["RUNWIRE_PROMPT"] == "Hi."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give the command that starts the client"),
        (["--claim", "al", "x"], "unknown client class 'al'"),
        (["--transport", "ws", "x"], "unknown transport 'ws'"),
        (["http://localhost:80"], "is not a command; to judge a server use `runwire check http://localhost:80`"),
        (["x", "{uri}"], "unknown placeholder {uri}; did you mean {url}?"),
        (["nosuchprogram"], "cannot start nosuchprogram"),
        (["--requirement", "RUN-4", "x"], "RUN-4 cannot be judged for a client: it applies to a server"),
        (["-k", "zzz", "x"], "no scenario has a name with 'zzz'"),
        (["--patience", "inf", "x"], "Invalid value for '--patience'"),
        (["--patience", "5", "x"], "Invalid value for '--patience'"),
        (["--listen", "x"], "unexpected argument"),
        (["--update-baseline", "x"], "--update-baseline needs --baseline FILE"),
        ([sys.executable, "-c", "import sys; sys.exit('no server')"], "it ended with exit code 1, and printed no"),
    ],
)  # fmt: skip
def test_a_mistyped_call_is_told_in_one_line(words: list[str], told: str) -> None:
    ended = subprocess.run(
        [RUNWIRE, "check-client", *words], capture_output=True, text=True, timeout=patience(60), check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert told in ended.stderr
