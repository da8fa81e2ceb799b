"""Strict JSON parser for client messages, with limits on cost (chapter 3)."""

import json
import re
from typing import Any

from runwire_reference_server.run_log.event_sizes import deeper_than
from runwire_reference_server.run_log.refusal import Refusal

_MAX_DIGITS = 400
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadMessage(Refusal):
    """The text is JSON that must be refused; `identifier` is the message's `id` where it could be read."""

    def __init__(self, data: str, identifier: str | None = None) -> None:
        super().__init__("bad_request", data)
        self.identifier = identifier


class NotJson(BadMessage):
    """The text is no JSON text of RFC 8259, or no object ([MSG-7], [MSG-8])."""


def read_object(text: str, max_depth: int) -> dict[str, Any]:
    """Return the object that `text` holds; raises NotJson or BadMessage."""
    repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        result = dict(pairs)
        repeated = repeated or len(result) != len(pairs)
        return result

    try:
        value = json.loads(
            text, object_pairs_hook=members, parse_constant=_refuse_constant, parse_int=_integer
        )
    except RecursionError:
        raise BadMessage(f"nested deeper than {max_depth}") from None
    except ValueError:
        raise NotJson("not a JSON text") from None
    if not isinstance(value, dict):
        raise NotJson("not an object")
    identifier = identifier_of(value)
    if deeper_than(value, max_depth):  # [MSG-15]
        raise BadMessage(f"nested deeper than {max_depth}", identifier)
    if repeated:
        raise BadMessage("a member name is repeated", identifier)  # [MSG-18]
    if "\\u" in text and _has_surrogate(value):
        raise BadMessage("a string holds a lone surrogate", identifier)  # [MSG-16]
    return value


def identifier_of(message: dict[str, Any]) -> str | None:
    """Return the `id` of a message; None without a valid one."""
    identifier = message.get("id")
    if isinstance(identifier, str) and 1 <= len(identifier) <= 64 and not _has_surrogate(identifier):
        return identifier
    return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float("inf")


def _has_surrogate(value: Any) -> bool:
    return _SURROGATE.search(json.dumps(value, ensure_ascii=False)) is not None
