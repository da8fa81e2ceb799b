"""Evaluation of an expectation: a pure function of observations and time.

An expectation is held or broken by something that was seen; as long as neither was, it is pending. When the play is
over, what never came is `absent`: broken, if it is so again when the scenario is played alone. What nothing led up to
was not exercised, whatever the client reports: a client that never came has kept no rule.
"""

from collections.abc import Callable, Mapping

from runwire_conformance.rules import Finding
from runwire_conformance.rules.client import RULES
from runwire_conformance.tools.check_client.expected.back_off import missing_growth, missing_jitter
from runwire_conformance.tools.check_client.expected.expectation_result import (
    HELD,
    PENDING,
    ExpectationResult,
    ExpectationState,
    PlayContext,
    absence_reason,
    end_of,
    not_seen,
    violated,
)
from runwire_conformance.tools.check_client.expected.report_checks import shows, shows_no_end_before
from runwire_conformance.tools.check_client.expected.transport_choice import (
    discovers,
    keeps_credentials,
    polls,
)
from runwire_conformance.tools.check_client.scenario import Expectation
from runwire_conformance.tools.check_client.wire_log import LogEntry, WireLog
from runwire_conformance.trace.trace import Trace

#: Returns of a client that show how it comes back.
RETURNS = 3


def result_of(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """Return how an expectation stands."""
    return JUDGES[expectation.see](expectation, context)


def findings_of(trace: Trace) -> list[Finding]:
    """Return what the rules for clients find in a conversation, whatever the play is about."""
    return [finding for rule in RULES for finding in rule.judge(trace)]


def attach(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """The nth `start` or `resume` is as it has to be."""
    number, log = expectation.get("number"), context.log
    if context.scenario.discovery and log.mark("paged") is None:
        return not_seen(context, "the client did not request the discovery document")
    if number > 1:
        if len(log.attaches) < number - 1:
            before = (
                absence_reason(context) if not log.attaches else "the client did not reconnect often enough"
            )
            return not_seen(context, before)
        ended = end_of(log.attaches[number - 2], context)
        if ended is None:
            return not_seen(context, "the scenario did not get that far")
    if len(log.attaches) < number:
        if not context.over:
            return PENDING
        if number == 1 and not (expectation.get("over") and log.of("handshake", "discovery")):
            return ExpectationResult(ExpectationState.NOT_EXERCISED, absence_reason(context))
        if number == 1:
            return ExpectationResult(
                ExpectationState.ABSENT, f"the client never started its run over {expectation.get('over')}"
            )
        if expectation.get("returning") or expectation.get("retrying"):
            return ExpectationResult(
                ExpectationState.AWAY, "the client did not reconnect, as it does in other scenarios"
            )
        if expectation.get("optional"):
            return ExpectationResult(ExpectationState.NOT_EXERCISED, "the client did not reconnect")
        return ExpectationResult(ExpectationState.ABSENT, "the client did not reconnect")
    return _as_asked(expectation, log.attaches[number - 1], log.attaches[0], context)


def _as_asked(
    expectation: Expectation, came: LogEntry, first: LogEntry, context: PlayContext
) -> ExpectationResult:
    by, after, epoch = expectation.get("by"), expectation.get("after"), expectation.get("epoch")
    if by == "resume" and context.scenario.given and first.get("by") == "start":
        return ExpectationResult(
            ExpectationState.NOT_EXERCISED, "the client started its own run instead of the given one"
        )
    if by == "resume" and came.get("by") == "start" and came.get("run_id") in {first.get("run_id")} - {None}:
        return ExpectationResult(
            ExpectationState.NOT_EXERCISED, "the client repeated its start and read from the beginning"
        )
    if by == "start" and first.get("by") != "start":
        return ExpectationResult(
            ExpectationState.NOT_EXERCISED, "the client starts its run by a request without a stream"
        )
    if epoch is not None and by is None and came.get("by") == "start":
        return ExpectationResult(
            ExpectationState.NOT_EXERCISED, "the client began again from the start, which shows no epoch"
        )
    if by is not None and came.get("by") != by:
        return violated(f"expected a {by}; got a {came.get('by')}")
    if after is not None and came.get("after") != after:
        if came.get("after") == 0 and not expectation.get("exact"):
            return ExpectationResult(
                ExpectationState.NOT_EXERCISED, "the client read from the beginning, which shows no cursor"
            )
        return violated(f"the client resumed after {came.get('after')}, but its cursor is {after}")
    if epoch is not None and came.get("epoch") != epoch:
        return violated(
            f"the server announced the epoch {epoch}; the client sent {came.get('epoch') or 'none'}"
        )
    run_id = expectation.get("run_id")
    if run_id == "same" and (came.get("run_id") is None or came.get("run_id") != first.get("run_id")):
        return violated(
            f"the client changed its run_id from {first.get('run_id') or 'none'} to {came.get('run_id') or 'none'}"
        )
    if run_id == "new" and came.get("run_id") is not None and came.get("run_id") == first.get("run_id"):
        return violated("the client reused the run_id of the failed run")
    if expectation.get("token") == "new" and came.get("token") in {None, first.get("token")}:
        return violated(
            "the client sent the expired credential again"
            if came.get("token")
            else "the client sent no credential"
        )
    before = context.log.attaches[expectation.get("number") - 2]
    if expectation.get("elsewhere") and came.connection == before.connection:
        return violated("the client continues on the same connection")
    over = expectation.get("over")
    if over is not None and came.get("transport") != over:
        return violated(f"the client used {came.get('transport')}, not {over}")
    within = expectation.get("within_s")
    ended = end_of(context.log.attaches[expectation.get("number") - 2], context) if within else None
    if within and ended is not None and came.at - ended.at > within:
        # A busy machine is slow once; what is so again, alone, is the client's.
        return ExpectationResult(
            ExpectationState.ABSENT, f"the client reconnected only after {came.at - ended.at:.1f} s"
        )
    return HELD


def stays_away(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """Nothing of a kind comes for a while after a mark."""
    mark = context.log.mark(expectation.get("after_mark"))
    if mark is None:
        return not_seen(
            context,
            absence_reason(context) if not context.log.attaches else "the scenario did not get that far",
        )
    for one in context.log.since(mark.at):
        if said := UNWANTED[expectation.get("kind")](one, context.log):
            return violated(f"{said} {one.at - mark.at:.1f} s later")
    if context.now - mark.at < context.scenario.window_s and not context.over:
        return PENDING
    if not context.log.active_after(mark.at):
        return not_seen(context, "the client showed no further activity")
    return HELD


def _connection(one: LogEntry, _log: WireLog) -> str:
    return (
        "a new connection"
        if one.kind == "handshake" or (one.kind == "attach" and one.get("transport") == "sse")
        else ""
    )


def _resume(one: LogEntry, _log: WireLog) -> str:
    return "a resume" if one.kind == "attach" and one.get("by") == "resume" else ""


def _start(one: LogEntry, _log: WireLog) -> str:
    return "a start" if one.kind == "attach" and one.get("by") == "start" else ""


def _same_run(one: LogEntry, log: WireLog) -> str:
    same = (
        one.kind == "attach"
        and one.get("run_id") is not None
        and one.get("run_id") == log.attaches[0].get("run_id")
    )
    return f"a {one.get('by')} of the same run_id" if same else ""


UNWANTED: Mapping[str, Callable[[LogEntry, WireLog], str]] = {
    "connection": _connection,
    "resume": _resume,
    "start": _start,
    "same_run": _same_run,
}


def leaves(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """The client ends a connection after a mark."""
    mark = context.log.mark(expectation.get("after_mark"))
    if mark is None:
        return not_seen(context, absence_reason(context))
    if any(
        one.kind in {"close", "gone"} and one.connection == mark.connection
        for one in context.log.since(mark.at)
    ):
        return HELD
    return (
        ExpectationResult(ExpectationState.ABSENT, "the client left the connection open")
        if context.over
        else PENDING
    )


def backs_off(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """The client returns ever more rarely and not in step, while it gets no further."""
    returns = returns_of(context.log)
    if not context.log.of("handshake", "attach"):
        return not_seen(context, absence_reason(context))
    ended = [
        one for one in context.log.of("ended", "mark") if one.kind == "ended" or one.get("name") == "ended"
    ]
    if not ended:
        return not_seen(context, "the scenario did not get that far")
    if haste := missing_growth(returns, context.now - ended[0].at):
        return violated(f"the client reconnects {haste}")
    if evenness := missing_jitter(returns):
        return ExpectationResult(ExpectationState.ABSENT, f"the client reconnects {evenness}")
    if context.now - ended[0].at < context.scenario.window_s and not context.over:
        return PENDING
    if len(returns) >= RETURNS - 1:
        return HELD
    if not returns and context.over:
        state = ExpectationState.AWAY if expectation.get("returning") else ExpectationState.ABSENT
        return ExpectationResult(state, "the client did not reconnect")
    return not_seen(context, "the client reconnected too rarely to be judged")


def returns_of(log: WireLog) -> list[float]:
    """Return the seconds from each end of a connection by the server to the next attempt of the client."""
    waits: list[float] = []
    ended: float | None = None
    for one in log.entries:
        tries = one.kind == "handshake" or (
            one.kind == "attach" and (one.get("again") or one.get("transport") == "sse")
        )
        if one.kind == "ended" or (one.kind == "mark" and one.get("name") == "ended"):
            ended = one.at if ended is None else ended
        elif tries and ended is not None:
            waits.append(one.at - ended)
            ended = None
    return waits


def rule(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """A rule finds nothing, though there was enough to find something in."""
    every = (finding for trace in context.log.traces for finding in findings_of(trace))
    found = next((one for one in every if one.requirement == expectation.requirement), None)
    if found is not None:
        return violated(found.text)
    name = expectation.get("after_mark") or "ended"
    mark = context.log.mark(name)
    if not context.log.attaches or mark is None:
        return not_seen(
            context,
            absence_reason(context) if not context.log.attaches else "the scenario did not get that far",
        )
    spoken = max((len(list(trace.messages("client"))) for trace in context.log.traces), default=0)
    if spoken < (expectation.get("said") or 1):
        return not_seen(context, "the client sent too few messages on one connection")
    if not context.over and not context.log.active_after(mark.at):
        return PENDING
    return (
        HELD
        if context.log.active_after(mark.at)
        else not_seen(context, "the client showed no further activity")
    )


JUDGES: Mapping[str, Callable[[Expectation, PlayContext], ExpectationResult]] = {
    function.__name__: function
    for function in (
        attach,
        stays_away,
        leaves,
        backs_off,
        shows,
        shows_no_end_before,
        rule,
        discovers,
        polls,
        keeps_credentials,
    )
}
