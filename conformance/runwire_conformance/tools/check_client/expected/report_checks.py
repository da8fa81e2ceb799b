"""Comparison of what a client reports with what it has to display. Pure."""

from typing import Any

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
from runwire_conformance.tools.check_client.scenario import Expectation, gathers
from runwire_conformance.tools.check_client.wire_log import WireLog

#: Seconds behind the end of a log after which a client that reports nothing new has said what it shows.
SETTLED_S = 3.0

#: The events without whose last one nobody knows what to report in the end.
KNOWN_BY = {
    "text": {"token", "replace"},
    "calls": {"observation"},
    "ended": {"done", "error"},
    "code": {"error"},
}


def shows(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """The client reports that it shows what it has to show."""
    if not context.log.attaches:
        return not_seen(context, absence_reason(context))
    whole = context.log.mark("over")
    if whole is None and context.over and end_of(context.log.attaches[-1], context) is None:
        return ExpectationResult(ExpectationState.NOT_EXERCISED, "the scenario did not get that far")
    if whole is None and context.over and gathers(context.scenario):
        return ExpectationResult(ExpectationState.NOT_EXERCISED, "the client did not poll the log to its end")
    if whole is None and context.over:  # what was cut is shown as whole by nobody who stays away
        return ExpectationResult(
            ExpectationState.AWAY, "the client did not reconnect for the rest, as it does in other scenarios"
        )
    settled = context.over or (
        whole is not None and context.now - _last_report(context.log, whole.at) > SETTLED_S
    )
    shown = shown_by(context.log)
    wrong = ""
    for name in ("text", "ended", "code", "calls"):
        wanted = expectation.get(name)
        if wanted is None:
            continue
        if name not in shown and name in context.reports:
            return (
                ExpectationResult(ExpectationState.ABSENT, f"the client does not show `{name}`")
                if context.over
                else PENDING
            )
        if name not in shown:
            unreported = ExpectationResult(
                ExpectationState.NOT_EXERCISED, f"the client does not report `{name}`"
            )
            return unreported if settled else PENDING
        wrong = wrong or _differs(name, wanted, shown[name])
    if not wrong and (name := _foretold(expectation, context)):
        return not_seen(context, f"the client reported {name} before it could know it")
    if not wrong:  # what is right may still be taken back with the end of the run
        return HELD if whole is not None and (settled or shown.get("ended") is not None) else PENDING
    if sentence := (expectation.get("blocked") or {}).get(shown.get("text")):
        return not_seen(context, f"blocked by {sentence}")
    # Whoever says that the run has ended shows what it shows; others may still be at it.
    return violated(wrong) if context.over or (settled and "ended" in shown) else PENDING


def _last_report(log: WireLog, context: float) -> float:
    """Return when the client last reported something that it had not reported before, `moment` at the least."""
    known: dict[str, Any] = {}
    for one in log.of("report"):
        if any(known.get(name) != value for name, value in one.members.items()):
            context = max(context, one.at)
        known |= one.members
    return context


def shown_by(log: WireLog) -> dict[str, Any]:
    """Return what a client shows, by its reports so far."""
    return {name: value for name, (value, _) in _shown_since(log).items()}


def _shown_since(log: WireLog) -> dict[str, tuple[Any, float]]:
    """Return by name what a client shows, and since when."""
    shown: dict[str, tuple[Any, float]] = {}
    for one in log.of("report"):
        for name, value in one.members.items():
            before, since = shown.get(name, (None, one.at))
            now = {**(before or {}), **value} if name == "calls" else value
            shown[name] = (now, since if now == before else one.at)
    return shown


def _foretold(expectation: Expectation, context: PlayContext) -> str:
    """Return what the client reported before the event came that it follows from, or an empty string."""
    for name, (_, since) in _shown_since(context.log).items():
        kinds = KNOWN_BY.get(name, set())
        last = max((event["seq"] for event in context.scenario.log if event["type"] in kinds), default=0)
        if expectation.get(name) is not None and since < context.log.said.get(last, 0.0):
            return name
    return ""


def _differs(name: str, wanted: Any, shown: Any) -> str:
    if name == "calls":
        for call_id, content in wanted.items():
            if (shown.get(call_id) or "") != (content or ""):
                wanted_text = "nothing" if content is False else repr(content)
                return f"call {call_id} is shown as {shown.get(call_id)!r}, not {wanted_text}"
        return ""
    return "" if shown == wanted else f"{name} is shown as {shown!r}, not {wanted!r}"


def shows_no_end_before(expectation: Expectation, context: PlayContext) -> ExpectationResult:
    """The client does not report an end before a mark."""
    mark = context.log.mark(expectation.get("mark"))
    for one in context.log.of("report"):
        if one.get("ended") is None:
            continue
        if mark is None or one.at < mark.at:
            asked = any(said.get("type") == "cancel" and said.at < one.at for said in context.log.of("says"))
            if asked or (one.get("ended") == "cancelled" and context.log.attaches):
                return violated(f"the run is shown as {one.get('ended')} before its terminal event arrived")
            return not_seen(context, "the client never cancelled")
        return HELD
    if not context.log.attaches:
        return not_seen(context, absence_reason(context))
    if not any(said.get("type") == "cancel" for said in context.log.of("says")):
        return not_seen(context, "the client was asked to cancel but never did")
    return not_seen(context, "the client does not report `ended`")
