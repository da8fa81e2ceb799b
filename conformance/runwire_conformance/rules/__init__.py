"""Rules: pure functions over the trace of every conversation.

Each names the requirement it found broken. The same code judges recorded conversations.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from runwire_conformance.rules import (
    answers,
    client,
    client_reconnects,
    log,
    messages,
    recorded,
    responses,
    server_connections,
    wire,
)
from runwire_conformance.rules.finding import Finding, IndexedFinding, RuleContext
from runwire_conformance.rules.registry import Rule
from runwire_conformance.trace.trace import Trace

__all__ = [
    "Finding",
    "IndexedFinding",
    "RuleContext",
    "client_findings",
    "findings",
    "late_findings",
    "recorded_findings",
    "shows",
]

#: The rules for every conversation of every case, those that lean on the clock last.
EVERYWHERE = sorted(
    (*messages.RULES, *answers.RULES, *log.RULES, *wire.RULES, *responses.RULES), key=lambda rule: rule.timing
)

#: Of these the ones that lean on the clock, and the others over more than single messages.
BY_CLOCK = [rule for rule in EVERYWHERE if rule.timing]
OF_CONVERSATIONS = [
    rule for rule in EVERYWHERE if not rule.timing and not isinstance(rule.judge, messages.MessageRule)
]

#: Those for the server of a whole recording, beside the others, and those for its client.
OF_RECORDINGS = (*recorded.RULES, *server_connections.RULES)
OF_CLIENTS = (*client.RULES, *client_reconnects.RULES)


def findings(trace: Trace, context: RuleContext, late: Sequence[Finding] | None = None) -> list[Finding]:
    """Return everything that a conversation breaks, each requirement at most once.

    `late` are its `late_findings`, where they are known.
    """
    late = late_findings(trace, context) if late is None else late
    of_conversation = (finding for rule in OF_CONVERSATIONS for finding in rule.judge(trace, context))
    found: dict[str, Finding] = {}
    for finding in (*messages.single_messages(trace), *of_conversation, *late):
        found.setdefault(finding.requirement, finding)
    return list(found.values())


def late_findings(trace: Trace, context: RuleContext) -> list[Finding]:
    """Return what a conversation breaks by the clock alone, which a busy machine may be the cause of."""
    return [finding for rule in BY_CLOCK for finding in rule.judge(trace, context)]


def recorded_findings(traces: Sequence[Trace], context: RuleContext) -> list[IndexedFinding]:
    """Return everything that the server of a recording breaks, each requirement at most once a connection.

    Beside the rules for every conversation these are the ones that need the whole of it.
    """
    return _once(_recorded_findings(traces, context))


def _recorded_findings(traces: Sequence[Trace], context: RuleContext) -> Iterator[IndexedFinding]:
    for number, trace in enumerate(traces):
        # Where something is missing, only single messages can be judged.
        rules = (*EVERYWHERE, *recorded.RULES) if trace.whole else tuple(messages.RULES)
        for rule in rules:
            yield from ((number, finding) for finding in rule.judge(trace, context))
    if all(trace.whole for trace in traces):
        for several in server_connections.RULES:
            yield from several.judge(traces)


def client_findings(traces: Sequence[Trace], dated: bool = True) -> list[IndexedFinding]:
    """Return everything that the client of a recording breaks, each requirement at most once a connection.

    How it comes back is judged only where the connections are `dated`: where it is known when each began and ended.
    """
    return _once(_client_findings(traces, dated))


def _client_findings(traces: Sequence[Trace], dated: bool) -> Iterator[IndexedFinding]:
    for number, trace in enumerate(traces):
        judges = (
            [rule.judge for rule in client.RULES]
            if trace.whole
            else [client.client_messages_have_one_meaning]
        )
        for judge in judges:
            yield from ((number, finding) for finding in judge(trace))
    if dated and all(trace.whole for trace in traces):
        for several in client_reconnects.RULES:
            yield from several.judge(traces)


def _once(found: Iterator[IndexedFinding]) -> list[IndexedFinding]:
    once: dict[tuple[int, str], IndexedFinding] = {}
    for number, finding in found:
        once.setdefault((number, finding.requirement), (number, finding))
    return list(once.values())


@cache
def shown_by() -> Mapping[str, frozenset[str]]:
    """Return what a recording must show of each requirement that a rule judges (`Rule.seen_by`)."""
    shown: dict[str, frozenset[str]] = {}
    for rule in _registry():
        for requirement, kinds in rule.seen_by.items():
            shown[requirement] = shown.get(requirement, frozenset()) | kinds
    return shown


def shows(trace: Trace) -> set[str]:
    """Return what a conversation shows, in the words of `Rule.seen_by`.

    A Close frame that answers one of the client shows nothing of how a server closes, nor does a lost connection.
    """
    seen = {{"websocket": "socket", "sse": "stream"}.get(trace.transport, "exchange")}
    ended = False
    for record in trace.records:
        if record.message is not None:
            seen.add("any" if record.side == "server" else "said")
            seen.add(record.message.type or "start")
        if record.kind in {"close", "lost"} and not ended:
            ended = True
            if record.side == "server" and record.kind == "close":
                seen |= {"close", f"close {str(record.code)[:2]}" if record.code != 1000 else "close"}
    return seen


@cache
def by_the_clock() -> frozenset[str]:
    """Return the requirements that no rule can judge where nobody knows when things happened."""
    otherwise = {name for rule in _registry() for name in rule.seen_by.keys() - rule.by_clock}
    return frozenset(shown_by()) - otherwise


def _registry() -> tuple[Rule[Any], ...]:
    return (*EVERYWHERE, *OF_RECORDINGS, *OF_CLIENTS)
