"""Client reports: JSON lines on standard output, or posted by a page.

A line such as `{"runwire": {"text": "Hello", "ended": "completed"}}` tells what is shown as of now; what a member said
before stays until it is said again. Every other line is output and nothing else. A client need not report.
"""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from runwire_conformance.trace.json_reading import read_json

#: The member of a line that makes it a report.
MEMBER = "runwire"

REPORT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "description": "the answer text that is shown"},
        "ended": {
            "enum": ["completed", "cancelled", "incomplete", "failed"],
            "description": "how the run is shown to have ended; absent while it goes on",
        },
        "code": {"type": "string", "description": "the code of a failure, as the client reads it"},
        "calls": {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"]},
            "description": "by call_id, the result or the preview that is shown of a call; null for none",
        },
        "gave_up": {"type": "string", "description": "why the client does not try any more"},
    },
}

_VALIDATOR = Draft202012Validator(REPORT_SCHEMA)


class NoReport(ValueError):
    """A line wants to be a report and is none; the message says why."""


def report_in(line: str) -> Mapping[str, Any] | None:
    """Return the report in a line of output, None for other output; raises NoReport."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = read_json(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or MEMBER not in value:
        return None
    return checked(value[MEMBER])


def checked(report: Any) -> Mapping[str, Any]:
    """Return a report; raises NoReport."""
    for wrong in _VALIDATOR.iter_errors(report):
        place = "/".join(map(str, wrong.absolute_path))
        raise NoReport(f"{place}: {wrong.message}" if place else wrong.message)
    found: Mapping[str, Any] = report
    return found
