"""A judging: what it does once, what it says of a server that is mute or gone, and the times it goes by."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from runwire_conformance import bounds
from runwire_conformance.bounds import Clock, Limits
from runwire_conformance.case import Broken, Claim
from runwire_conformance.engine import Case, Engine, Outcome, State
from runwire_conformance.judgement import Accusation, Verdict
from runwire_conformance.judging import Judging
from runwire_conformance.probe import Mute, NoRunwireServer
from runwire_conformance.profile import Options, Profile
from runwire_conformance.reason import Kind
from runwire_conformance.reproduction import Reproduction
from runwire_conformance.stream import Stream
from runwire_conformance.trace import RESPONSE_ENDED, Trace
from runwire_conformance.wire.http import Response, Unanswered

SAID = {"features": ["resume"], "script_agent": True, "server": {"name": "good", "version": "2"}}
PROFILE = Profile("ws://server/v1/ws", discovery=SAID)


async def body() -> None:
    """Stand for a case that is never played here."""


def played(
    name: str, state: State, *ids: str, seconds: float = 1.0, began_at: float = 0.0, ended_at: float = 0.0
) -> Case:
    """Return a case with its outcome."""
    outcome = Outcome(state, "seen", details="more", seconds=seconds, began_at=began_at, ended_at=ended_at)
    return Case(name, body, Claim(ids), outcome=outcome)


def judging(*cases: Case, profile: Profile | None = PROFILE) -> Judging:
    """Return a judging that is over."""
    engine = Engine("http://server", Options(token="secret"), cases, profile=profile, seconds=9.0)
    return Judging(engine)


def test_a_report_says_what_came_of_everything() -> None:
    unplayed = Case("a::unplayed", body, Claim(("RUN-5",)))
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
    broken = Profile("ws://server", discovery=SAID, broken={"RUN-3": "no started"}, shown={"RUN-3": [trace]})

    (judgement,) = judging(profile=broken).report().judgements

    assert (judgement.requirement.id, judgement.reasons) == ("RUN-3", ("no started",))
    assert judgement.accusations[0].traces == (trace,)


def test_what_ails_the_server_is_accused() -> None:
    done = judging()
    done.engine.ailing["CLOSE-2"] = "connections break off"

    (judgement,) = done.report().judgements

    assert (judgement.requirement.id, judgement.reasons) == ("CLOSE-2", ("connections break off",))


def test_a_server_that_was_never_seen_has_announced_nothing() -> None:
    (judgement,) = (
        judging(played("a::case", State.NOT_EXERCISED, "SCRIPT-1"), profile=None).report().judgements
    )

    assert judgement.verdict is Verdict.NOT_OFFERED


def test_only_what_was_asked_for_is_judged() -> None:
    done = judging(played("a::case", State.PASSED, "RUN-4", "RUN-5"))
    done.wanted = lambda requirement: requirement.id == "RUN-5"

    assert [j.requirement.id for j in done.report().judgements] == ["RUN-5"]


def test_a_mute_server_is_accused_of_its_silence() -> None:
    done = judging(played("a::case", State.FAILED, "RUN-4"))
    trace = Trace("http", "GET", 0.0)
    done.engine.mute = Mute("CONN-6", "no answer", [trace])

    report = done.report()

    (guilty,) = report.by(Verdict.FAIL)
    accusation = Accusation("the first look at the server", "no answer", traces=(trace,), kind=Kind.MUTE)
    assert (guilty.requirement.id, guilty.accusations) == ("CONN-6", (accusation,))


@pytest.mark.parametrize(
    ("number", "suspects"),
    [
        (0, ""),
        (1, "; under way then: a::0"),
        (5, "; under way then: a::0, a::1, a::2, a::3, a::4"),
        (7, "; under way then: a::0, a::1, a::2, a::3, a::4, 2 more"),
    ],
)
def test_a_death_names_its_moment_and_who_was_there(number: int, suspects: str) -> None:
    cases = [played(f"a::{n}", State.PASSED, "RUN-4", began_at=12.5, ended_at=12.5) for n in range(number)]
    before = played("a::before", State.PASSED, "RUN-4", began_at=10.0, ended_at=12.4)
    after = played("a::after", State.PASSED, "RUN-4", began_at=12.6, ended_at=13.0)
    done = judging(before, *cases, after, Case("a::unplayed", body, Claim(("RUN-4",))))
    done.engine.died, done.engine.began_at, done.engine.last_word = "refused", 10.0, 12.5

    report = done.report()

    (guilty,) = report.by(Verdict.FAIL)
    said = f"the server was gone, refused; its last word came 2.5 s after the judge began{suspects}"
    accusation = Accusation("the last look at the server", said, kind=Kind.GONE)
    assert (guilty.requirement.id, guilty.accusations) == ("CONN-6", (accusation,))
    assert report.remarks == ("The server was gone before the end: refused",)


def test_a_server_that_never_spoke_spoke_at_no_time_before_the_judge_began() -> None:
    done = judging()
    done.engine.died, done.engine.began_at, done.engine.last_word = "refused", 10.0, 0.0

    assert "its last word came 0.0 s after" in done.report().by(Verdict.FAIL)[0].reasons[0]


class Plays(Engine):
    """An engine that plays nothing and ends as it is told."""

    end: Exception | None = None
    plays = 0

    async def judge(self) -> None:
        Plays.plays += 1
        if Plays.end is not None:
            raise Plays.end


def test_everything_is_played_once() -> None:
    Plays.end, Plays.plays = None, 0
    done = Judging(Plays("http://user:pass@server", Options(), ()))
    assert (done.played, done.began) == (False, 0.0)

    done.play()
    done.play()

    assert (Plays.plays, done.played, done.refused, done.fault) == (1, True, None, None)
    assert done.began > 1e9
    assert done.reproduction == Reproduction("http://server")
    assert all(map(done.wanted, [None]))  # type: ignore[list-item]


def test_a_judging_knows_how_it_was_called() -> None:
    called = Reproduction("http://server", ("--patience", "5"))

    assert Judging(Plays("http://server", Options(), ()), reproduction=called).reproduction == called


def test_what_ends_a_judging_is_nothing_to_judge_or_a_fault_of_its_own() -> None:
    Plays.end = NoRunwireServer("nobody listens")
    refused = Judging(Plays("http://server", Options(), ()))
    refused.play()
    Plays.end = ZeroDivisionError("oops")
    faulty = Judging(Plays("http://server", Options(), ()))
    faulty.play()

    assert (refused.refused, refused.fault) == ("nobody listens", None)
    assert faulty.refused is None
    assert faulty.fault is not None
    assert "ZeroDivisionError: oops" in faulty.fault


def test_a_limit_is_what_was_advertised_or_else_the_registry_s() -> None:
    limits = Limits({"heartbeat_s": 3, "pong_timeout_s": True, "cancel_quiet_ms": 250, "idle_s": "x"})
    plain = Limits({})

    assert (limits["heartbeat_s"], limits["pong_timeout_s"]) == (3.0, plain["pong_timeout_s"])
    assert limits["idle_s"] == plain["idle_s"]
    assert limits.seconds("cancel_quiet_ms") == 0.25
    assert limits.seconds("heartbeat_s") == 3.0
    assert Limits({"runs_per_connection": 2.0}).whole("runs_per_connection") == 2
    assert limits.silence == 5.0
    assert Limits({"heartbeat_s": 3, "pong_timeout_s": 2}).gives_up_after == 7.0


def test_the_tolerance_grows_with_the_round_trip_and_the_judge_s_own_lag() -> None:
    assert Clock().tolerance == Clock().worst_tolerance == 0.25
    assert Clock(round_trip=0.2, lag=0.1, worst_lag=0.3).tolerance == pytest.approx(0.5)
    assert Clock(round_trip=0.2, lag=0.1, worst_lag=0.3).worst_tolerance == pytest.approx(0.7)
    assert Clock(round_trip=0.2, worst_round_trip=0.4, worst_lag=0.3).worst_tolerance == pytest.approx(1.1)


def test_the_longest_round_trip_counts_and_the_worst_is_remembered() -> None:
    clock = Clock()
    for seconds in (0.2, 0.5, 0.1):
        clock.answered_in(seconds)

    assert (clock.round_trip, clock.worst_round_trip) == (0.5, 0.5)


def test_more_than_twice_the_least_tolerance_is_slow() -> None:
    assert not Clock(worst_round_trip=0.25).is_slow
    assert Clock(worst_round_trip=0.26).is_slow
    assert Clock(worst_lag=0.6).is_slow


def test_a_stall_is_remembered_with_its_moment() -> None:
    clock = Clock(stalls=[(10.0, 0.5)])

    assert clock.stalled_since(10.4)
    assert not clock.stalled_since(10.5)
    assert not clock.stalled_since(10.0, longer_than=0.5)
    assert not Clock(stalls=[(10.0, bounds.STALL_S)]).stalled_since(10.0)


class Ticks:
    """A clock that a test sets: each sleep takes as long as it says."""

    def __init__(self, *sleeps: float, now: float = 100.0) -> None:
        self.now, self.sleeps = now, list(sleeps)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.sleeps:
            raise asyncio.CancelledError
        self.now += seconds + self.sleeps.pop(0)


def test_the_lag_of_the_loop_is_its_longest_and_fades(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(0.3, 0.0, 0.1)
    monkeypatch.setattr(bounds.time, "monotonic", ticks.monotonic)
    monkeypatch.setattr(bounds.asyncio, "sleep", ticks.sleep)
    clock = Clock()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(clock._tick())

    assert clock.lag == pytest.approx(0.3 * 0.99**2)
    assert clock.worst_lag == pytest.approx(0.3)
    assert clock.stalls == [(100.0, pytest.approx(0.3))]


def test_a_delay_of_the_least_tolerance_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(bounds.STALL_S, now=0.0)
    monkeypatch.setattr(bounds.time, "monotonic", ticks.monotonic)
    monkeypatch.setattr(bounds.asyncio, "sleep", ticks.sleep)
    clock = Clock()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(clock._tick())

    assert (clock.worst_lag, clock.stalls) == (bounds.STALL_S, [])


def test_a_clock_measures_from_its_start_to_its_stop() -> None:
    async def measured() -> tuple[bool, bool]:
        clock = Clock()
        clock.stop()
        clock.start()
        await asyncio.sleep(0.05)
        ticker = clock._ticker
        assert ticker is not None
        running = not ticker.done()
        clock.stop()
        await asyncio.gather(ticker, return_exceptions=True)
        return running, ticker.cancelled()

    assert asyncio.run(measured()) == (True, True)


class Body:
    """The body of a response that comes in these pieces; an exception is how it breaks off."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces, self.ends = pieces, list[str]()

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece
        if not self.pieces:
            await asyncio.sleep(60)

    def close(self) -> None:
        self.ends.append("closed")

    def abort(self) -> None:
        self.ends.append("aborted")


def opened(body_: Body, trace: Trace | None = None) -> Stream:
    """Return a stream with this body, which is read as soon as something waits."""
    trace = trace or Trace("sse", "GET", 0.0)
    response = Response(200, (), b"")
    return Stream(
        body_,
        response,
        trace,
        Limits({"heartbeat_s": 3}),
        Clock(round_trip=1.0),
        "/place",  # type: ignore[arg-type]
    )


def test_a_stream_is_read_block_by_block_to_its_end() -> None:
    async def read() -> None:
        pieces = (b'retry: 1\n\ndata: {"type":"resumed","run_id":"r1"}\n\nda', b"ta: no json\n\nid: 9\n")
        stream = opened(Body(*pieces))
        assert (stream.place, stream.limits["heartbeat_s"], stream.clock.round_trip) == ("/place", 3.0, 1.0)
        assert stream.response.status == 200
        assert stream.cut_off is None
        assert (await stream.first_block()).values("retry") == ["1"]
        run = await stream.run()
        await stream.finished()
        assert (run.run_id, run.opening, run.conversation) == ("r1", stream.messages[0], stream)
        assert stream.complete
        assert stream.cut_off is not None
        assert stream.cut_off.values("id") == ["9"]
        records = [(r.side, r.kind, r.payload, r.message is not None) for r in stream.trace.records]
        assert records == [
            ("server", "block", "retry: 1", False),
            ("server", "block", 'data: {"type":"resumed","run_id":"r1"}', True),
            ("server", "block", "data: no json", False),
            ("server", "lost", RESPONSE_ENDED, False),
        ]

    asyncio.run(read())


@pytest.mark.parametrize("problem", [Unanswered("reset"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")])
def test_a_stream_that_breaks_off_is_not_complete(problem: Exception) -> None:
    async def read() -> None:
        stream = opened(Body(b"retry: 1\nretry: 2\n\n", problem))
        await stream.finished()
        assert not stream.complete
        assert stream.cut_off is None
        assert [record.payload for record in stream.trace.records] == [
            "retry: 1\nretry: 2", str(problem), RESPONSE_ENDED,
        ]  # fmt: skip
        assert {(r.side, r.kind) for r in stream.trace.records[1:]} == {("server", "lost")}

    asyncio.run(read())


def test_a_flood_is_read_no_further() -> None:
    class Flooded(Trace):
        def flood(self) -> bool:
            return len(self.records) > 1

    async def read() -> None:
        stream = opened(Body(b"data: {}\n\n" * 2, b"data: {}\n\n"), Flooded("sse", "GET", 0.0))
        await stream._reading
        assert (len(stream.messages), stream.ended, stream.complete) == (2, False, False)

    asyncio.run(read())


def test_a_stream_is_let_go_in_order_or_cut() -> None:
    async def both() -> None:
        orderly, cut = Body(), Body()
        ended, dropped = opened(orderly), opened(cut)
        await asyncio.sleep(0)
        await ended.end()
        assert ended._reading.cancelled()
        dropped.drop()
        await asyncio.gather(dropped._reading, return_exceptions=True)
        assert (orderly.ends, cut.ends) == (["closed"], ["aborted"])
        assert dropped._reading.cancelled()
        last = dropped.trace.records[-1]
        assert (last.side, last.kind, last.payload) == ("client", "lost", "cut by the client")

    asyncio.run(both())


def test_a_stream_of_a_new_run_opens_with_started() -> None:
    async def read() -> str | None:
        stream = opened(Body(b'data: {"type":"heartbeat"}\n\ndata: {"type":"started","run_id":"r1"}\n\n'))
        return (await stream.run()).run_id

    assert asyncio.run(read()) == "r1"


def test_an_opening_that_never_comes_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwire_conformance.stream.ANSWER_S", 0.01)

    async def read() -> None:
        stream = opened(Body())
        try:
            async with asyncio.timeout(5):
                await stream.first_block()
        finally:
            await stream.end()

    with pytest.raises(Broken, match=r"expected the opening block; waited 0\.01 s"):
        asyncio.run(read())


def test_what_a_stream_does_not_bring_is_named() -> None:
    async def wait() -> list[str]:
        said = []
        for waiting in ("first_block", "run"):
            stream = opened(Body(b"\n"))
            with pytest.raises(Broken) as problem:
                await getattr(stream, waiting)()
            said.append(str(problem.value))
        endless = opened(Body())
        with pytest.raises(Broken) as problem:
            await endless.finished(0.01)
        await endless.end()
        return [*said, str(problem.value)]

    assert asyncio.run(wait()) == [
        "expected the opening block; the sse connection ended; came nothing",
        "expected started or resumed; the sse connection ended; came nothing",
        "expected the response to end; waited 0.01 s; came nothing",
    ]


def test_a_case_that_was_not_played_is_no_suspect() -> None:
    done = judging(replace(played("a::case", State.PASSED, "RUN-4"), outcome=None))
    done.engine.died, done.engine.last_word = "refused", 0.0

    assert "under way" not in done.report().by(Verdict.FAIL)[0].reasons[0]


def test_cases_play_as_if_this_were_no_ci_so_that_long_lists_are_not_compared_word_by_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str | None] = []

    async def judge(_: Engine) -> None:
        seen.append(os.environ.get("CI"))

    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(Engine, "judge", judge)

    judging().play()

    assert (seen, os.environ["CI"]) == ([None], "true")
