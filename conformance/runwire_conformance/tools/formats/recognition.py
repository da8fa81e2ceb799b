"""Protocol and role detection, by the contents of messages."""

from functools import cache

from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Side, Trace
from runwire_schemas import SERVER_TYPES
from runwire_spec import registries

#: Types of messages that other protocols have, too.
COMMON_TYPES = frozenset({"ready", "heartbeat", "notice", "error"})


def is_of_a_server(message: Message | None) -> bool:
    """Whether a message is a server's of Runwire, and certainly neither a client's nor of another protocol."""
    if message is None:
        return False
    if message.type in COMMON_TYPES:
        refusal = message.type == "error" and message.string("code") in _codes()
        return message.get("protocol") == "runwire" or refusal
    return message.type in SERVER_TYPES


def is_turned_round(trace: Trace) -> bool:
    """Whether the sides are told the other way round: a client never says what servers say."""
    return _says_it(trace, "client") and not _says_it(trace, "server")


def _says_it(trace: Trace, side: Side) -> bool:
    return any(is_of_a_server(r.message) for r in trace.records if r.side == side and r.kind != "request")


@cache
def _codes() -> frozenset[str]:
    return frozenset(row["code"] for row in registries()["errors"])
