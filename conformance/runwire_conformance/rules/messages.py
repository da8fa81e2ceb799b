"""Rules for single messages of a server."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache, update_wrapper
from typing import Any

from runwire_conformance.rules.finding import Finding, RuleContext
from runwire_conformance.rules.registry import ConversationRule, Rules
from runwire_conformance.trace.json_reading import TooDeep, exceeds_depth
from runwire_conformance.trace.message import EVENT_TYPES, Message, WrittenAsFraction
from runwire_conformance.trace.trace import Trace
from runwire_schemas import SERVER_TYPES, schema, server_message_violations
from runwire_spec import registries

RULES = Rules[ConversationRule]()
rule = RULES.rule

#: How the fault of a text is told in which a member name stands twice in one object.
REPEATED = "a member name is repeated"

#: Half a surrogate pair in a JSON text: as an escape, and as it is. Two patterns, as each by itself is quick to search.
_ESCAPED_HALF, _HALF = re.compile(r"\\[uU][dD][89a-fA-F]"), re.compile("[\ud800-\udfff]")

MERGEABLE = {"token", "thinking", "tool_delta", "observation"}


#: A rule over one message: it yields what is broken, and what shows it.
OneMessage = Callable[[Message], Iterator[tuple[str, str]]]


class MessageRule:
    """A rule that judges the server's messages by themselves: those of its types, or all where it names none."""

    def __init__(self, judge: OneMessage, types: frozenset[str]) -> None:
        self.judge, self.types = judge, types
        update_wrapper(self, judge)

    def __call__(self, trace: Trace, _context: RuleContext) -> Iterator[Finding]:
        """Judge the messages of a conversation."""
        return _judged_by(lambda kind: (self.judge,) if self.takes(kind) else (), trace)

    def takes(self, kind: str) -> bool:
        """Whether it judges messages of a type."""
        return not self.types or kind in self.types


def each_message(*types: str) -> Callable[[OneMessage], ConversationRule]:
    """Have a rule judge every message of the server by itself, or those of some types."""
    return lambda judge: MessageRule(judge, frozenset(types))


def single_messages(trace: Trace) -> Iterator[Finding]:
    """Have all rules over single messages judge a conversation, which is gone through once."""
    return _judged_by(_judges_of, trace)


@lru_cache(maxsize=256)
def _judges_of(kind: str) -> tuple[OneMessage, ...]:
    every = (one.judge for one in RULES)
    return tuple(one.judge for one in every if isinstance(one, MessageRule) and one.takes(kind))


def _judged_by(judges_of: Callable[[str], tuple[OneMessage, ...]], trace: Trace) -> Iterator[Finding]:
    for place, record in enumerate(trace.records):
        message = record.message
        if message is None or record.side != "server":
            continue
        for judge in judges_of(message.type):
            for requirement, text in judge(message):
                yield Finding(requirement, text, place)


@rule("EVENT-2", seen_by="token")
@rule("MSG-1", "MSG-5", seen_by="any")
def is_json_object(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """Text messages, one JSON object each, of valid JSON and Unicode."""
    for place, record in _served(trace):
        if record.kind == "binary":
            yield Finding("MSG-1", f"a binary message of {record.payload}", place)
        elif record.kind == "raw":
            yield Finding("MSG-1", record.payload, place)
        elif record.kind == "text" or (record.kind == "block" and record.message is not None):
            text = record.payload if record.kind == "text" else data_of(record.payload)
            yield from _strict(text, record.message, place)


def faults_of(text: str) -> list[str]:
    """Return what keeps a JSON text from meaning the same to everyone: repeated names, and numbers that are none."""
    return _read(text)[1]


def _read(text: str) -> tuple[Any, list[str]]:
    faults: list[str] = []
    token = _FAULTS.set(faults)
    try:
        return _DECODER.decode(text), faults
    except RecursionError:
        raise TooDeep from None
    finally:
        _FAULTS.reset(token)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        _FAULTS.get().append(REPEATED)
    return members


def _constant(name: str) -> float:
    _FAULTS.get().append(f"{name} is no JSON")
    return 0.0


#: The faults of the text that is being read; a decoder is made once, as that takes as long as to read a message.
_FAULTS: ContextVar[list[str]] = ContextVar("faults")
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)


def _strict(text: str, message: Message | None, place: int) -> Iterator[Finding]:
    try:
        value, problems = _read(text)
    except TooDeep:
        return  # it is JSON, and how deep it may be is said of its content
    except ValueError as problem:
        yield Finding("MSG-1", f"not a JSON text: {problem}", place)
        return
    if not isinstance(value, dict):
        yield Finding("MSG-1", "the JSON text is not an object", place)
        return
    for fault in problems:
        yield Finding("MSG-5", fault, place)
    if _may_hold_half(text) and not exceeds_depth(value) and has_lone_surrogate(value):
        divided = message is not None and message.type in {"token", "thinking"}
        yield Finding("EVENT-2" if divided else "MSG-5", "a string holds half a surrogate pair", place)


def _may_hold_half(text: str) -> bool:
    return _ESCAPED_HALF.search(text) is not None or (not text.isascii() and _HALF.search(text) is not None)


@rule("MSG-2", seen_by="any")
@each_message()
def has_type(message: Message) -> Iterator[tuple[str, str]]:
    """Every message has a `type` that is a string."""
    if not message.type:
        yield "MSG-2", f"type is {json.dumps(message.get('type'))}"


@rule("MSG-3", "MSG-6", seen_by="any")
@each_message()
def keeps_its_schema(message: Message) -> Iterator[tuple[str, str]]:
    """Messages are valid against the schema of their type; optional members are never null."""
    if message.type not in SERVER_TYPES:
        return
    nulls = _nulls(message) if None in message.values() else []
    for name in nulls:
        yield "MSG-6", f"{name} of {message.type} is null"
    for violation in server_message_violations(dict(message)):
        if violation.pointer.removeprefix("/") not in nulls:
            yield "MSG-3", f"{message.type}{violation.pointer}: {violation.message}"


@rule("MSG-37", seen_by="any")
@each_message()
def integers_are_written_as_such(message: Message) -> Iterator[tuple[str, str]]:
    """Where a schema has an integer, a number has no fraction and no exponent; what breaks its schema is told there."""
    if message.type not in SERVER_TYPES or not any(
        isinstance(one, float | dict | WrittenAsFraction) for one in message.values()
    ):
        return
    fractions = _as_fractions(message)
    if fractions == message or server_message_violations(dict(message)):
        return
    for violation in server_message_violations(fractions):
        if violation.keyword == "type":
            yield "MSG-37", f"{message.type}{violation.pointer} is not written as an integer"


def _as_fractions(value: Any) -> Any:
    """Return a value whose numbers that were written as `1.0` or `1e0` have become some that are whole to no schema."""
    if isinstance(value, dict):
        return {name: _as_fractions(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_fractions(inner) for inner in value]
    return 0.5 if isinstance(value, float | WrittenAsFraction) else value


def _nulls(message: Message) -> list[str]:
    """Return the optional members of a message that are null."""
    defined = schema(message.type)
    return [
        name
        for name in defined["properties"]
        if name not in defined["required"] and name in message and message[name] is None
    ]


@rule("RUN-27", seen_by=EVENT_TYPES)
@each_message()
def events_are_placed(message: Message) -> Iterator[tuple[str, str]]:
    """Every event has `run_id` and `seq`. A basic server's `error` without both ends the run too."""
    missing = [name for name in ("run_id", "seq") if name not in message]
    if message.is_event and missing and not message.is_numbered_refusal:
        yield "RUN-27", f"{message.type} has no {' and no '.join(missing)}"
    elif ends_unnumbered(message):
        yield "RUN-27", "the error that ends a run has no seq"


def ends_unnumbered(message: Message) -> bool:
    """Whether an `error` names its run and a code that no refusal has: it ends the run, and lacks its `seq`."""
    named = message.type == "error" and "run_id" in message and "seq" not in message and "re" not in message
    return named and message.get("code") in {r["code"] for r in registries()["errors"] if r["use"] == "log"}


@rule("EVENT-3", "EVENT-26", seen_by="token")
@each_message("replace", "token")
def tokens_are_text(message: Message) -> Iterator[tuple[str, str]]:
    """A token is the run's own text, and not empty."""
    for name in ("agent", "parent_call_id"):
        if name in message:
            yield "EVENT-3", f"{message.type} has {name}"
    if message.type == "token" and message.get("data") == "":
        yield "EVENT-26", "a token with empty data"


@rule("EVENT-7", seen_by=("observation", "tool_call", "tool_delta"))
@rule("EVENT-14", seen_by="observation")
@each_message("observation", "tool_call", "tool_delta")
def calls_are_named(message: Message) -> Iterator[tuple[str, str]]:
    """Tool events carry `call_id`, partial observations text."""
    if "call_id" not in message:
        yield "EVENT-7", f"{message.type} has no call_id"
    if message.type == "observation" and message.get("partial") is True:
        content = message.get("content")
        if not isinstance(content, str):
            yield "EVENT-14", f"the content of a partial observation is {json.dumps(content)[:60]}"


@rule("EVENT-21", "EVENT-23", seen_by="done")
@rule("EVENT-22", "EVENT-24", seen_by="error")
@rule("OBS-1", seen_by=("done", "error"))
@each_message("done", "error")
def endings_are_explained(message: Message) -> Iterator[tuple[str, str]]:
    """What `done` and `error` carry."""
    if message.type == "done":
        if "status" not in message:
            yield "EVENT-21", "done has no status"
        elif message["status"] != "completed" and "reason" not in message:
            yield "EVENT-23", f"done with status {message['status']} has no reason"
    if message.type == "error":
        missing = [name for name in ("code", "retryable") if name not in message]
        if missing:
            yield "EVENT-22", f"error has no {' and no '.join(missing)}"
        refuses = "run_id" in message and "seq" not in message and not ends_unnumbered(message)
        if refuses or ("re" in message and "seq" in message):
            yield "EVENT-24", "an error that refuses a message has run_id or seq"
    ends = message.is_terminal and "seq" in message and not message.is_numbered_refusal
    if ends and "trace_id" not in message:
        yield "OBS-1", f"{message.type} has no trace_id"


#: The parts of each total of a `usage`, no token of which is in two.
PARTS: Mapping[str, tuple[str, ...]] = {
    "input_tokens": ("cached_input_tokens", "cache_write_input_tokens"),
    "output_tokens": ("reasoning_tokens",),
}


@rule("EVENT-28", seen_by=("done", "error"))
@each_message("done", "error")
def usage_counts_once(message: Message) -> Iterator[tuple[str, str]]:
    """The parts of a usage are within their totals."""
    if message.is_terminal:
        for excess in excesses(message.get("usage")):
            yield "EVENT-28", excess


def excesses(usage: object) -> Iterator[str]:
    """Yield how the parts of a `usage` exceed their totals; a total that is absent is exceeded by nothing."""
    counts = usage if isinstance(usage, dict) else {}
    for total, names in PARTS.items():
        told = [name for name in names if isinstance(counts.get(name), int)]
        parts = sum(counts[name] for name in told)
        if told and isinstance(counts.get(total), int) and parts > counts[total]:
            yield f"{parts} {' and '.join(told)} are part of {counts[total]} {total}"


@rule("ERR-1", "ERR-4", "ERR-5", "RUN-14", seen_by="error")
@each_message("error", "notice")
def codes_mean_what_they_say(message: Message) -> Iterator[tuple[str, str]]:
    """Registered codes stand where they belong, with their `retryable`."""
    known = {row["code"]: row for row in registries()["errors"]}
    if "Traceback (most recent call last)" in str(message.get("data")):
        yield "ERR-5", "data holds a stack trace"
    code = str(message.get("code"))
    row = known.get(code) if message.type == "error" else None
    if row is None:
        if message.type == "error" and "code" in message and ":" not in code:
            requirement = "RUN-14" if "seq" in message else "ERR-1"
            yield requirement, f"{code} is neither registered nor a vendor's"
        return
    if row["use"] == "log" and "seq" not in message and not ends_unnumbered(message):
        yield "ERR-1", f"{row['code']} belongs into a log and refuses a message"
    expected = row["retryable"] == "true"
    if row["overridable"] == "no" and message.get("retryable", expected) is not expected:
        yield "ERR-4", f"{row['code']} with retryable {json.dumps(message['retryable'])}"


@rule("BEAT-4", seen_by="heartbeat")
@each_message("heartbeat")
def heartbeats_are_outside_the_log(message: Message) -> Iterator[tuple[str, str]]:
    """A heartbeat has neither `run_id` nor `seq`."""
    for name in ("run_id", "seq"):
        if name in message:
            yield "BEAT-4", f"a heartbeat has {name}"


@rule("EVENT-20", seen_by=EVENT_TYPES)
def events_fit(trace: Trace, context: RuleContext) -> Iterator[Finding]:
    """No event is larger than `max_event_bytes`."""
    most = context.limits.whole("max_event_bytes")
    for place, record in _served(trace):
        if record.message is not None and record.message.is_event:
            text = record.payload if record.kind == "text" else data_of(record.payload)
            size = len(text.encode("utf-8", "surrogatepass"))
            if size > most:
                yield Finding("EVENT-20", f"a {record.message.type} of {size} bytes", place)


@rule("RESUME-24", "RESUME-26", seen_by=("thinking", "token", "tool_delta"))
@each_message()
def merges_are_marked(message: Message) -> Iterator[tuple[str, str]]:
    """`first_seq` stands on merged events, and only text is merged."""
    first, last = message.get("first_seq"), message.get("seq")
    if not isinstance(first, int) or not isinstance(last, int):
        return
    if first >= last:
        yield "RESUME-24", f"first_seq {first} with seq {last}"
    text = message.type != "observation" or message.get("partial") is True
    if message.type not in MERGEABLE or not text:
        yield "RESUME-26", f"a merged {message.type}"


def _served(trace: Trace) -> Iterator[tuple[int, Any]]:
    return ((place, record) for place, record in enumerate(trace.records) if record.side == "server")


def data_of(block: str) -> str:
    """Return the data of an event of a stream, as a trace shows its block."""
    lines = [
        line.removeprefix("data:").removeprefix(" ") for line in block.split("\n") if line.startswith("data:")
    ]
    return "\n".join(lines)


def has_lone_surrogate(value: object) -> bool:
    """Whether a string in a JSON value, or a member name, holds half a surrogate pair."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return True
        return False
    if isinstance(value, Mapping):
        return any(has_lone_surrogate(key) or has_lone_surrogate(item) for key, item in value.items())
    return isinstance(value, list) and any(map(has_lone_surrogate, value))
