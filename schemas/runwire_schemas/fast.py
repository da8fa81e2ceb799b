"""The accelerator, jsonschema-rs, where `runwire[fast]` installed it: it only says yes, jsonschema says why not."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

#: What it cannot hold: strings that are not Unicode, objects with names that are no strings, numbers beyond its own.
_UNFIT = (ValueError, TypeError, OverflowError)


@cache
def accelerator() -> Callable[[Any], Callable[[object], bool]] | None:
    """Return what makes a test of validity from a schema without references; None where it is not installed."""
    try:
        module = import_module("jsonschema_rs")
    except ImportError:
        return None

    def made(schema: Any) -> Callable[[object], bool]:
        is_valid: Callable[[object], bool] = module.Draft202012Validator(
            schema, validate_formats=True
        ).is_valid

        def accepts(instance: object) -> bool:
            try:
                return is_valid(instance)
            except _UNFIT:
                return False  # which leaves it to jsonschema

        return accepts

    return made
