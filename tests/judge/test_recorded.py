"""What the whole recording of one connection shows of its server: each rule at its edges."""

from __future__ import annotations

from typing import Any

import pytest

from runwire_conformance.rules import Finding
from runwire_conformance.rules.recorded import RULES
from runwire_conformance.trace.trace import Record
from tests.support.conversations import CONTEXT
from tests.support.talks import message, sign, talk

A, B, C = "a" * 22, "b" * 22, "c" * 22

Lines = list[Record]


def shown(*parts: Lines, **more: Any) -> list[Finding]:
    """Return what the rules find in a connection of these parts."""
    trace = talk(*(record for part in parts for record in part), **more)
    return [finding for rule in RULES for finding in rule.judge(trace, CONTEXT)]


def says(at: float, kind: str, **members: Any) -> Lines:
    """Return a message of the server's."""
    return [message({"type": kind, **members}, at)]


def asks(at: float, **members: Any) -> Lines:
    """Return a message of the client's."""
    return [message(members, at, "client")]


def ready(**limits: Any) -> Lines:
    return says(0.0, "ready", limits=limits)


def opened(
    at: float, name: str, /, *, answer: str = "started", status: str = "running", **asked: Any
) -> Lines:
    """Return a `start` or `resume` and its answer; without a `run_id` among what is asked it is a plain one."""
    kind = "start" if answer == "started" else "resume"
    question = {"type": kind, "id": f"{at}", **asked}
    return [*asks(at, **question), *says(at, answer, re=f"{at}", run_id=name, status=status)]


def named(at: float, run_id: str, **more: Any) -> Lines:
    return opened(at, run_id, run_id=run_id, **more)


def beat(at: float) -> Lines:
    return says(at, "heartbeat")


def token(at: float, run_id: str) -> Lines:
    return says(at, "token", run_id=run_id, seq=1, data="x")


def done(at: float, run_id: str = A, status: str = "cancelled", reason: str = "user") -> Lines:
    return says(at, "done", run_id=run_id, seq=9, data="x", status=status, reason=reason)


BESIDE = Finding("RUN-7", f"a start without run_id beside the unfinished run {A}", 4)


def too_many(others: int, place: int = 4) -> Finding:
    return Finding("RUN-24", f"a run beside {others} unfinished ones", place)


ONE_RUN, TWO_RUNS = ready(runs_per_connection=1), ready(runs_per_connection=2)
FIRST, PLAIN = named(0.0, A), opened(1.0, B)

RUNS: dict[str, tuple[list[Lines], list[Finding]]] = {
    "a run that goes on after a rest": ([ready(), FIRST, PLAIN, token(1.5, A)], [BESIDE]),
    "a rest that is too short": ([ready(), FIRST, PLAIN, token(1.4, A)], []),
    "a rest before the event": ([ready(), FIRST, PLAIN, beat(1.5), token(1.6, A)], [BESIDE]),
    "no rest at all": ([ready(), FIRST, PLAIN, beat(1.3), beat(1.6), token(1.9, A)], []),
    "a rest before the start alone": ([ready(), FIRST, token(0.9, A), PLAIN, token(1.1, A)], []),
    "a rest before the answer alone": (
        [ready(), FIRST, asks(0.9, type="start", id="b"), beat(1.0),
         says(1.6, "started", re="b", run_id=B, status="running"), token(1.7, A)], [],
    ),
    "the client talks while the server rests": (
        [ready(), FIRST, PLAIN, asks(1.3, type="heartbeat"), token(1.5, A)], [BESIDE],
    ),
    "the client names the run": ([ready(), FIRST, PLAIN, asks(1.6, type="cancel", run_id=A, id="c")], []),
    "the other run goes on": ([ready(), FIRST, PLAIN, token(1.6, B)], []),
    "the other run first": ([ready(), FIRST, PLAIN, token(1.6, B), token(1.7, A)], [BESIDE]),
    "the end of the first": ([ready(), FIRST, PLAIN, done(1.6)], [BESIDE]),
    "a reader that is moved": (
        [ready(), FIRST, PLAIN, says(1.6, "resumed", run_id=A, next_seq=1), token(2.2, A)], [],
    ),
    "ended before": ([ready(), FIRST, done(0.5), PLAIN, token(1.6, A)], []),
    "of a run that had ended": (
        [ready(), named(0.0, A, answer="resumed", status="completed", after=0), PLAIN, token(1.6, A)], [],
    ),
    "of a run that was resumed": (
        [ready(), named(0.0, A, answer="resumed", after=0), PLAIN, token(1.6, A)], [BESIDE],
    ),
    "of a run that turns out to have ended": (
        [ready(), FIRST, says(0.5, "resumed", run_id=A, status="completed"), PLAIN, token(1.6, A)], [],
    ),
    "of a run that is started and has ended": (
        [ready(), FIRST, says(0.5, "started", run_id=A, status="failed"), PLAIN, token(1.6, A)], [],
    ),
    "of a run that the client calls started": (
        [ready(), asks(0.0, type="started", run_id=A), PLAIN, token(1.6, A)], [],
    ),
    "refused": ([ready(), FIRST, opened(1.0, B, answer="error"), token(1.6, A)], []),
    "the same run": ([ONE_RUN, FIRST, named(1.0, A), token(1.6, A)], []),
    "named, with room": ([TWO_RUNS, FIRST, named(1.0, B), token(1.6, A)], []),
    "named, without room": ([ONE_RUN, FIRST, named(1.0, B), token(1.6, A)], [too_many(1)]),
    "plain, without room": ([ONE_RUN, FIRST, PLAIN, token(1.6, A)], [BESIDE]),
    "plain, without room, beside an ended one": ([ONE_RUN, FIRST, PLAIN], []),
    "resumed, without room": (
        [ONE_RUN, FIRST, named(1.0, B, answer="resumed", after=0), token(1.6, A)], [too_many(1)],
    ),
    "resumed when it had ended": (
        [ONE_RUN, FIRST, named(1.0, B, answer="resumed", status="failed", after=0), token(1.6, A)], [],
    ),
    "beside two": (
        [TWO_RUNS, FIRST, named(0.5, C), named(1.0, B), token(1.6, A), token(1.6, C)], [too_many(2, 6)],
    ),
    "beside two of which one goes on": ([TWO_RUNS, FIRST, named(0.5, C), named(1.0, B), token(1.6, A)], []),
    "without limits": ([says(0.0, "ready"), FIRST, named(1.0, B), token(1.6, A)], []),
    "with limits that are none": ([says(0.0, "ready", limits=1), FIRST, named(1.0, B), token(1.6, A)], []),
    "with limits of the client's": (
        [asks(0.0, type="ready", limits={"runs_per_connection": 1}), FIRST, named(1.0, B), token(1.6, A)], [],
    ),
    "without ready": ([beat(0.0), FIRST, PLAIN, token(1.6, A)], [BESIDE]),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_nothing_runs_beside_what_is_unfinished(name: str) -> None:
    parts, expected = RUNS[name]

    assert shown(*parts) == expected


def cancel(at: float = 1.0, **members: Any) -> Lines:
    return asks(at, type="cancel", **{"id": "c", "run_id": A, **members})


def refusal(at: float, **members: Any) -> Lines:
    return says(at, "error", **{"re": "c", "code": "not_found", **members})


def late(seconds: str = "2.3", place: int = 4, run_id: str = A) -> Finding:
    return Finding(
        "CANCEL-2", f"the terminal of run {run_id} had not come {seconds} s after the cancel", place
    )


def by_nobody(reason: str, place: int = 4) -> Finding:
    return Finding("CANCEL-1", f"cancelled with reason {reason}", place)


CANCELS: dict[str, tuple[list[Lines], list[Finding]]] = {
    "beyond the deadline": ([ready(), FIRST, cancel(), beat(3.3)], [late()]),
    "at the deadline": ([ready(), FIRST, cancel(), beat(3.25)], []),
    "an end that comes too late": ([ready(), FIRST, cancel(), done(3.3)], [late()]),
    "an end in time": ([ready(), FIRST, cancel(), done(2.0), beat(4.0)], []),
    "never a rest": ([ready(), FIRST, *([cancel(0.2)] + [beat(0.4 * n) for n in range(1, 9)])], []),
    "a rest of just as long": (
        [ready(), FIRST, cancel(0.2), *(beat(n) for n in (0.4, 0.9, 1.3, 1.7, 2.1, 2.5))], [late("2.3", 9)],
    ),
    "a rest before the cancel alone": (
        [ready(), FIRST, beat(0.9), cancel(), *(beat(1.0 + 0.4 * n) for n in range(1, 7))], [],
    ),
    "a rest that ended with the cancel": (
        [ready(), FIRST, beat(1.0), cancel(), *(beat(1.0 + 0.4 * n) for n in range(1, 7))], [],
    ),
    "Pings keep it from resting": (
        [ready(), FIRST, beat(0.9), cancel(), [sign("ping", at=0.8 + 0.4 * n) for n in range(1, 7)], beat(3.3)], [],
    ),
    "a Ping is no message": ([ready(), FIRST, cancel(), [sign("ping", at=3.3)]], []),
    "of all runs": (
        [ready(), FIRST, named(0.5, B), asks(1.0, type="cancel", id="c"), done(1.1, B), beat(3.3)], [late(place=7)],
    ),
    "of another run": ([ready(), FIRST, cancel(run_id=B), beat(3.3)], []),
    "of two": (
        [ready(), FIRST, named(0.5, B), cancel(), cancel(2.0, run_id=B), beat(3.3)], [late(place=7)],
    ),
    "again": ([ready(), FIRST, cancel(), cancel(2.0, id="d"), beat(3.3)], [late(place=5)]),
    "before the run began": ([ready(), cancel(0.0), FIRST, beat(3.3)], []),
    "of a run that ended": ([ready(), FIRST, done(0.5, status="completed"), cancel(), beat(3.3)], []),
    "of a run that goes on as another": (
        [ready(), FIRST, cancel(0.2), done(0.3), named(1.0, A, answer="resumed", after=0), beat(3.6)], [],
    ),
    "by the server": ([ready(), FIRST, says(1.0, "cancel", run_id=A), beat(3.3)], []),
    "refused": ([ready(), FIRST, cancel(), refusal(3.3)], []),
    "refused before": ([ready(), FIRST, refusal(0.9), cancel(), beat(3.3)], [late(place=5)]),
    "refused at once": ([ready(), FIRST, cancel(), refusal(1.1), beat(3.4)], []),
    "another was refused": ([ready(), FIRST, cancel(), refusal(1.1, re="d"), beat(3.3)], [late(place=5)]),
    "refused by the client": ([ready(), FIRST, cancel(), asks(1.1, type="error", re="c"), beat(3.3)], [late(place=5)]),
    "told by a notice": (
        [ready(), FIRST, cancel(), says(1.1, "notice", re="c", code="not_active"), beat(3.3)], [late(place=5)],
    ),
    "a failed run that names it": ([ready(), FIRST, named(0.5, B), cancel(),
                                    says(1.1, "error", re="c", run_id=B, seq=5), beat(3.3)], [late(place=7)]),
    "a cancel without id, one refused": (
        [ready(), FIRST, asks(1.0, type="cancel"), refusal(1.1, re=None), beat(3.3)], [],
    ),
    "a Pong among the answers": ([ready(), FIRST, cancel(), [sign("pong", at=1.1)], refusal(1.2), beat(3.4)], []),
    "as disconnected": ([ready(), FIRST, cancel(), done(1.1, reason="disconnected")], [by_nobody("disconnected")]),
    "as too long": ([ready(), FIRST, cancel(), done(1.1, reason="length")], [by_nobody("length")]),
    "as filtered": ([ready(), FIRST, cancel(), done(1.1, reason="content_filter")], [by_nobody("content_filter")]),
    "as wished": ([ready(), FIRST, cancel(), done(1.1, reason="user")], []),
    "as incomplete, too long": ([ready(), FIRST, cancel(), done(1.1, status="incomplete", reason="length")], []),
    "as disconnected, of another": (
        [ready(), FIRST, named(0.5, B), cancel(), done(1.1, B, reason="disconnected"), done(1.2)], [],
    ),
    "as disconnected, uncancelled": ([ready(), FIRST, done(1.1, reason="disconnected")], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CANCELS)
def test_a_cancel_is_obeyed(name: str) -> None:
    parts, expected = CANCELS[name]

    assert shown(*parts) == expected


def closes(at: float, code: int = 1000, side: Any = "server") -> Lines:
    return [sign("close", at=at, side=side, code=code)]


def gone(code: int = 1000, place: int = 5, what: str = "a cancel") -> Finding:
    requirement = "CANCEL-13" if what == "a cancel" else "ERR-3"
    return Finding(requirement, f"closed with code {code} after {what}", place)


def bad(at: float = 1.0, **members: Any) -> Lines:
    """Return a message that is refused."""
    return [
        *asks(at, type="start", id="s"),
        *says(at, "error", **{"re": "s", "code": "bad_request", **members}),
    ]


CANCELLED = [FIRST, cancel(), done(1.0)]
LONG = ready(idle_s=60)

CLOSES: dict[str, tuple[list[Lines], list[Finding]]] = {
    "after a cancel": ([ready(), *CANCELLED, closes(1.5)], [gone()]),
    "that may be idle": ([says(0.0, "ready"), *CANCELLED, closes(2.0)], []),
    "that is idle for less": ([ready(idle_s=2), *CANCELLED, closes(1.5)], [gone()]),
    "that is not idle for so long": ([LONG, *CANCELLED, closes(2.0)], [gone()]),
    "that is idle, from its beginning": ([ready(idle_s=2), bad(), closes(2.0)], []),
    "that is not idle, from its beginning": (
        [ready(idle_s=2), bad(), closes(1.9)], [gone(place=3, what="a refused message")],
    ),
    "long after": ([LONG, *CANCELLED, closes(2.1)], []),
    "after a cancel that was not heeded": ([LONG, FIRST, cancel(), done(1.0, status="completed"), closes(1.5)], []),
    "after a failure": ([LONG, FIRST, cancel(), says(1.0, "error", run_id=A, seq=5, status="cancelled"), closes(1.5)],
                        [gone()]),
    "with a run under way": ([LONG, named(0.0, B), *CANCELLED, closes(1.5)], []),
    "with a run under way, as of a message": (
        [LONG, named(0.0, B), *CANCELLED, closes(1.5, 1002)], [gone(1002, 7)],
    ),
    "for a reason of its own": ([LONG, *CANCELLED, closes(1.5, 1011)], []),
    "by the client": ([LONG, *CANCELLED, closes(1.4, side="client"), closes(1.5)], []),
    "lost by the client": ([LONG, *CANCELLED, [sign("lost", at=1.4, side="client")], closes(1.5)], []),
    "after something else was said": ([LONG, *CANCELLED, asks(1.2, type="heartbeat"), closes(1.5)], []),
    "after something else was said and served": (
        [LONG, *CANCELLED, asks(1.2, type="heartbeat", id="h"), says(1.2, "heartbeat", re="h"), closes(1.5)], [],
    ),
    "after garbage": ([LONG, *CANCELLED, [sign("raw", at=1.2, side="client")], bad(1.3), closes(1.5)], []),
    "after a Pong": ([LONG, *CANCELLED, [sign("pong", at=1.2, side="client")], closes(1.5)], [gone(place=6)]),
    "after a Ping": ([LONG, *CANCELLED, [sign("ping", at=1.2, side="client")], closes(1.5)], [gone(place=6)]),
    "after a heartbeat": ([LONG, *CANCELLED, beat(1.2), closes(1.5)], [gone(place=6)]),
    "twice": ([LONG, *CANCELLED, closes(1.5), closes(1.6)], [gone()]),
    "after a refusal": ([LONG, bad(), closes(1.5, 1008)], [gone(1008, 3, "a refused message")]),
    "after a refusal of more than this": ([LONG, bad(code="unauthorized"), closes(1.5, 1008)], []),
    "after the refusal of another": ([LONG, bad(re="t"), closes(1.5, 1008)], []),
    "after the failure of a run": ([LONG, bad(seq=4, code="busy"), closes(1.5, 1008)], []),
    "after an answer": ([LONG, FIRST, done(1.0), closes(1.5)], []),
    "after a notice": (
        [LONG, asks(1.0, type="start", id="s"), says(1.0, "notice", re="s", code="busy"), closes(1.5)], [],
    ),
    "after a refused cancel": (
        [LONG, FIRST, cancel(), refusal(1.0), done(1.1, status="completed"), closes(1.5)], [gone(place=6)],
    ),
    "after a refusal that nobody asked for": ([LONG, says(1.0, "error", code="bad_request"), closes(1.5)], []),
    "after nothing": ([LONG, closes(0.5)], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSES)
def test_it_goes_on_serving(name: str) -> None:
    parts, expected = CLOSES[name]

    assert shown(*parts) == expected


def test_a_stream_ends_with_its_cancelled_run() -> None:
    parts = [ready(), *CANCELLED, closes(1.5)]

    assert shown(*parts, transport="sse") == []


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 4400])
@pytest.mark.parametrize("refused", ["bad_request", "not_found", "conflict", "input_expired", "payload_too_large",
                                     "unsupported", "busy"])  # fmt: skip
def test_no_refusal_of_one_message_ends_a_connection(code: int, refused: str) -> None:
    assert shown(LONG, bad(code=refused), closes(1.5, code)) == [gone(code, 3, "a refused message")]
