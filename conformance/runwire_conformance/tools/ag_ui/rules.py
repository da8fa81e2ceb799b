"""Rules for AG-UI producers, by version 1.1 of its text, with its chapters as names.

A stream is judged by its order: what is open, whose it is, how it ends, what it used. Members are looked at as far as
the order leans on them; what is not known is passed over, as that text asks.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LIFECYCLE, STREAMING, SSE = "Runs and Steps", "Streaming Messages", "HTTP + Server-Sent Events"
SUBAGENTS, REASONING, INTERRUPTS = "Subagents", "Reasoning", "Interrupts and Resume"
TOOLS, USAGE, SCHEMA = "Tool Calls", "Token usage", "Schema"

#: The members that an event cannot do without, by its type; a type that is not listed is not known.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "RUN_STARTED": ("threadId", "runId"),
    "RUN_FINISHED": ("threadId", "runId"),
    "RUN_ERROR": ("message",),
    "STEP_STARTED": ("stepName",),
    "STEP_FINISHED": ("stepName",),
    "TEXT_MESSAGE_START": ("messageId",),
    "TEXT_MESSAGE_CONTENT": ("messageId", "delta"),
    "TEXT_MESSAGE_END": ("messageId",),
    "TEXT_MESSAGE_CHUNK": (),
    "TOOL_CALL_START": ("toolCallId", "toolCallName"),
    "TOOL_CALL_ARGS": ("toolCallId", "delta"),
    "TOOL_CALL_END": ("toolCallId",),
    "TOOL_CALL_CHUNK": (),
    "TOOL_CALL_RESULT": ("messageId", "toolCallId"),
    "REASONING_START": ("messageId",),
    "REASONING_END": ("messageId",),
    "REASONING_MESSAGE_START": ("messageId",),
    "REASONING_MESSAGE_CONTENT": ("messageId", "delta"),
    "REASONING_MESSAGE_END": ("messageId",),
    "REASONING_MESSAGE_CHUNK": (),
    "REASONING_ENCRYPTED_VALUE": ("subtype", "entityId", "encryptedValue"),
    "SUBAGENT_STARTED": ("subagentRunId", "name"),
    "SUBAGENT_FINISHED": ("subagentRunId",),
    "SUBAGENT_ERROR": ("subagentRunId", "message"),
    "STATE_SNAPSHOT": (),
    "STATE_DELTA": (),
    "MESSAGES_SNAPSHOT": (),
    "ACTIVITY_SNAPSHOT": ("messageId", "activityType"),
    "ACTIVITY_DELTA": ("messageId", "activityType"),
    "CUSTOM": ("name",),
    "RAW": (),
}

#: What is opened, continued and closed by an id: the kind of thing, its member, and which step the event is.
_ITEMS: Mapping[str, tuple[str, str, str]] = {
    f"{prefix}_{suffix}": (kind, name, step)
    for prefix, kind, name, more in (
        ("TEXT_MESSAGE", "message", "messageId", "CONTENT"),
        ("TOOL_CALL", "call", "toolCallId", "ARGS"),
        ("REASONING_MESSAGE", "reasoning message", "messageId", "CONTENT"),
        ("REASONING", "reasoning span", "messageId", "-"),
    )
    for suffix, step in (("START", "open"), (more, "continue"), ("END", "close"))
}
_CHUNKS = {
    "TEXT_MESSAGE_CHUNK": ("message", "messageId"),
    "TOOL_CALL_CHUNK": ("call", "toolCallId"),
    "REASONING_MESSAGE_CHUNK": ("reasoning message", "messageId"),
}

#: What closes no item that comes in chunks.
_ASIDE = {
    *_CHUNKS,
    "RAW",
    "ACTIVITY_SNAPSHOT",
    "ACTIVITY_DELTA",
    "REASONING_ENCRYPTED_VALUE",
    "SUBAGENT_STARTED",
}

_TOTALS = {
    "inputTokens": ("cachedInputTokens", "cacheWriteInputTokens"),
    "outputTokens": ("reasoningTokens",),
}

Event = Mapping[str, Any]
Fault = tuple[str, str]


@dataclass(slots=True)
class StreamJudge:
    """One stream: the run it is in, and what is open there. Owners are subagents; None is the run's own agent."""

    state: str = "new"
    run: Event = field(default_factory=dict)
    open: dict[tuple[str, str], object] = field(default_factory=dict)
    owners: dict[tuple[str, str], object] = field(default_factory=dict)
    chunked: dict[tuple[str, object], str] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    unanswered: dict[str, None] = field(default_factory=dict)

    def see(self, event: Event | None) -> Iterator[Fault]:
        """Yield what is wrong with the next event."""
        if event is None or not isinstance(event.get("type"), str):
            yield SSE, "the data is no JSON object with a type"
            return
        kind: str = event["type"]
        if kind not in REQUIRED:
            return
        if missing := [name for name in REQUIRED[kind] if not isinstance(event.get(name), str)]:
            yield SCHEMA, f"{kind} has no {' and no '.join(missing)}"
            return
        if "subagentRunId" in event and not isinstance(event["subagentRunId"], str):
            yield SUBAGENTS, "subagentRunId is no string; what is the run's own agent's has none"
            return
        yield from self._order(kind)
        if kind not in _ASIDE:
            self.chunked.clear()
        if kind in _ITEMS:
            yield from self._item(event, *_ITEMS[kind])
        elif kind in _CHUNKS:
            yield from self._chunk(event, *_CHUNKS[kind])
        elif special := _SPECIAL.get(kind):
            yield from special(self, event)

    def end(self) -> Iterator[Fault]:
        """Yield what is wrong with how the stream ends."""
        if self.state == "active":
            yield (
                "Truncation",
                "the stream ends without RUN_FINISHED or RUN_ERROR: a run that was cut off has no outcome",
            )

    def _order(self, kind: str) -> Iterator[Fault]:
        if self.state == "new" and kind not in {"RUN_STARTED", "RUN_ERROR"}:
            yield LIFECYCLE, f"the stream begins with {kind}, and neither RUN_STARTED nor RUN_ERROR"
            self.state = "active"
        if self.state == "active" and kind == "RUN_STARTED":
            yield LIFECYCLE, "RUN_STARTED while a run is active"
        if self.state == "finished" and kind not in {"RUN_STARTED", "RUN_ERROR"}:
            yield LIFECYCLE, f"{kind} after RUN_FINISHED"
        if self.state == "failed" and kind != "RUN_STARTED":
            yield LIFECYCLE, f"{kind} after RUN_ERROR"

    def _start(self, event: Event) -> Iterator[Fault]:
        self.state, self.run = "active", event
        for kept in (self.open, self.owners, self.chunked, self.active, self.ended, self.unanswered):
            kept.clear()
        yield from ()

    def _finish(self, event: Event) -> Iterator[Fault]:
        for name in ("threadId", "runId"):
            if name in self.run and event[name] != self.run[name]:
                yield "Run Input", f"RUN_FINISHED and RUN_STARTED of a run differ in {name}"
        for kind, name in self.open:
            yield (
                LIFECYCLE if kind == "step" else STREAMING,
                f"RUN_FINISHED while the {kind} {name!r} is open",
            )
        for name in sorted(self.active):
            yield SUBAGENTS, f"RUN_FINISHED while the subagent {name!r} is active"
        yield from self._outcome(event.get("outcome", {"type": "success"}))
        yield from _usage(event)
        self.state = "finished"
        self.open.clear()

    def _outcome(self, outcome: object) -> Iterator[Fault]:
        kind = outcome.get("type") if isinstance(outcome, dict) else None
        assert kind is None or isinstance(outcome, dict)
        if kind == "interrupt" and isinstance(outcome, dict):
            asked = outcome.get("interrupts")
            names = (
                [one.get("id") if isinstance(one, dict) else None for one in asked]
                if isinstance(asked, list)
                else []
            )
            if not names:
                yield INTERRUPTS, "an interrupt outcome without interrupts"
            if len({str(name) for name in names}) != len(names):
                yield INTERRUPTS, "two interrupts of a run have the same id"
        elif kind == "success" and isinstance(outcome, dict):
            pending = outcome.get("pendingToolCallIds")
            if isinstance(pending, list) and pending and sorted(map(str, pending)) != sorted(self.unanswered):
                yield (
                    TOOLS,
                    f"pendingToolCallIds are not the calls without a result: {', '.join(self.unanswered) or 'none'}",
                )
        elif kind != "cancelled":
            yield LIFECYCLE, "the outcome is neither success nor interrupt nor cancelled"

    def _fail(self, event: Event) -> Iterator[Fault]:
        yield from _usage(event)
        self.state = "failed"
        self.open.clear()

    def _step(self, event: Event) -> Iterator[Fault]:
        name, owner = event["stepName"], event.get("subagentRunId")
        key = ("step", name if owner is None else f"{name} of {owner}")
        if event["type"] == "STEP_STARTED":
            if key in self.open:
                yield LIFECYCLE, f"the step {key[1]!r} is open already"
            self.open[key] = owner
        elif key in self.open:
            del self.open[key]
        else:
            yield LIFECYCLE, f"the step {key[1]!r} is finished and was not started"

    def _item(self, event: Event, kind: str, name: str, step: str) -> Iterator[Fault]:
        key = (kind, event[name])
        if step == "open":
            if key in self.open:
                yield STREAMING, f"{event['type']} of the {kind} {key[1]!r}, which is open already"
            yield from self._owned(event, key, by_absence=False)
            self.open[key] = event.get("subagentRunId")
            if kind == "call":
                self.unanswered.setdefault(key[1])
            return
        if key not in self.open:
            yield (
                REASONING if "reasoning" in kind else STREAMING,
                f"{event['type']} of the {kind} {key[1]!r}, which is not open",
            )
            return
        yield from self._owned(event, key, by_absence=True)
        if step == "close":
            del self.open[key]

    def _chunk(self, event: Event, kind: str, name: str) -> Iterator[Fault]:
        lane = (kind, event.get("subagentRunId"))
        before, told = self.chunked.get(lane), event.get(name)
        if not isinstance(told or before, str):
            yield STREAMING, f"the first {event['type']} of a {kind} has no {name}"
            return
        key = (kind, str(told or before))
        if key[1] != before:
            if kind == "call" and not isinstance(event.get("toolCallName"), str):
                yield STREAMING, "the first TOOL_CALL_CHUNK of a call has no toolCallName"
            if key in self.open:
                yield STREAMING, f"{event['type']} of the {kind} {key[1]!r}, which a START opened"
            yield from self._owned(event, key, by_absence=False)
            if kind == "call":
                self.unanswered.setdefault(key[1])
        self.chunked[lane] = key[1]

    def _owned(self, event: Event, key: tuple[str, str], *, by_absence: bool) -> Iterator[Fault]:
        """Yield when an item is another's; a continuation without a tag is whoever's the item is."""
        owner = event.get("subagentRunId")
        if key in self.owners and (owner is not None or not by_absence) and owner != self.owners[key]:
            if owner is not None:
                yield (
                    SUBAGENTS,
                    f"the {key[0]} {key[1]!r} belongs to {self.owners[key] or 'the run'!r}, not to {owner!r}",
                )
            return
        self.owners.setdefault(key, owner)

    def _result(self, event: Event) -> Iterator[Fault]:
        self.unanswered.pop(event["toolCallId"], None)
        yield from ()

    def _subagent(self, event: Event) -> Iterator[Fault]:
        name = event["subagentRunId"]
        if event["type"] != "SUBAGENT_STARTED":
            if name not in self.active:
                yield SUBAGENTS, f"{event['type']} of {name!r}, which is not active"
            self.active.discard(name)
            self.ended.add(name)
            return
        if name in self.active or name in self.ended:
            yield SUBAGENTS, f"the subagentRunId {name!r} names a second invocation"
        parent = event.get("parentSubagentRunId")
        if isinstance(parent, str) and parent not in self.active | self.ended:
            yield SUBAGENTS, f"the parent {parent!r} was not announced"
        self.active.add(name)


_SPECIAL: Mapping[str, Callable[[StreamJudge, Event], Iterator[Fault]]] = {
    "RUN_STARTED": StreamJudge._start,
    "RUN_FINISHED": StreamJudge._finish,
    "RUN_ERROR": StreamJudge._fail,
    "STEP_STARTED": StreamJudge._step,
    "STEP_FINISHED": StreamJudge._step,
    "TOOL_CALL_RESULT": StreamJudge._result,
    "SUBAGENT_STARTED": StreamJudge._subagent,
    "SUBAGENT_FINISHED": StreamJudge._subagent,
    "SUBAGENT_ERROR": StreamJudge._subagent,
}


def _usage(event: Event) -> Iterator[Fault]:
    """Yield how the counts of a terminal contradict each other."""
    told = event.get("usage")
    for entry in told if isinstance(told, list) else ():
        counts = (
            {name: value for name, value in entry.items() if isinstance(value, int)}
            if isinstance(entry, dict)
            else {}
        )
        for total, parts in _TOTALS.items():
            sum_of_parts = sum(counts.get(part, 0) for part in parts)
            if total in counts and sum_of_parts > counts[total]:
                yield USAGE, f"{' and '.join(parts)} are parts of {total}, and more than it"
        if {"totalTokens", *_TOTALS} <= counts.keys() and counts["totalTokens"] != sum(
            counts[one] for one in _TOTALS
        ):
            yield USAGE, "totalTokens is not inputTokens and outputTokens together"
