"""Safe parsing of untrusted JSON and TOML: a value, or a ValueError with the reason."""

import json
import tomllib
from typing import Any

#: The deepest nesting of arrays and objects that is read; the specification's `json_depth` is 32 by default.
MOST_DEPTH = 200


class TooDeep(ValueError):
    """A JSON text is nested deeper than anyone is willing to follow."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {MOST_DEPTH} levels")


def read_json(text: str | bytes) -> Any:
    """Return the JSON value in a text; raises TooDeep, and ValueError for what is no JSON."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise TooDeep from None
    if len(text) > 2 * MOST_DEPTH and exceeds_depth(value):
        raise TooDeep
    return value


def exceeds_depth(value: Any, most: int = MOST_DEPTH) -> bool:
    """Whether arrays and objects of a value are nested deeper than `most`, the value itself being 1."""
    level: list[Any] = [value]
    for _ in range(most + 1):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text; raises TooDeep, and ValueError for what is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TooDeep from None
