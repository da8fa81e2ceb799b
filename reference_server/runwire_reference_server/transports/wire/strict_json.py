"""Strict JSON parser for client messages, with limits on cost (chapter 3)."""

import json
from typing import Any

_MAX_DIGITS = 400


class NotJson(ValueError):
    """The text is no JSON text of RFC 8259, or no object ([MSG-7], [MSG-8])."""


class BadMessage(ValueError):
    """The text is JSON that must be refused; `identifier` is the message's `id` where it could be read."""

    def __init__(self, data: str, identifier: str | None = None) -> None:
        super().__init__(data)
        self.identifier = identifier


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
    identifier = _identifier(value)
    if _deeper_than(value, max_depth):
        raise BadMessage(f"nested deeper than {max_depth}", identifier)
    if repeated:
        raise BadMessage("a member name is repeated", identifier)  # [MSG-18]
    if "\\u" in text and _has_surrogate(value):
        raise BadMessage("a string holds a lone surrogate", identifier)  # [MSG-16]
    return value


def _identifier(message: dict[str, Any]) -> str | None:
    identifier = message.get("id")
    if isinstance(identifier, str) and 1 <= len(identifier) <= 64 and not _has_surrogate(identifier):
        return identifier
    return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float("inf")


def _deeper_than(value: Any, most: int) -> bool:
    """Whether objects and arrays nest deeper than `most`, the value itself being 1 ([MSG-15])."""
    level = [value]
    while level and most:
        most -= 1
        inner = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
        level = [item for item in inner if isinstance(item, dict | list)]
    return bool(level)


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(_has_surrogate(key) or _has_surrogate(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_surrogate, value))
    return False
