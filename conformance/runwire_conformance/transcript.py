"""A conversation for people: times, directions, frames cut to a line each."""

import re

from runwire_conformance.trace import Trace

#: Characters of a frame, and frames of a conversation, that are shown.
WIDTH = 160
MOST_LINES = 40

_SECRET = re.compile(r"(?i)(authorization: *bearer +|bearer\.|ticket=)[A-Za-z0-9._~+/=-]+")


def transcript(trace: Trace) -> str:
    """Return a conversation, one record a line; of a long one the beginning and the end."""
    lines = [f"  {trace.transport} {trace.title}"]
    records = trace.records
    skipped = max(0, len(records) - MOST_LINES)
    head = MOST_LINES // 4
    for number, record in enumerate(records):
        if skipped and head <= number < head + skipped:
            if number == head:
                lines.append(f"            … {skipped} more …")
            continue
        arrow = "→" if record.side == "client" else "←"
        code = "" if record.code is None or record.kind == "response" else f" {record.code}"
        kind = "" if record.kind in {"text", "block", "request", "response"} else f"{record.kind}{code} "
        text = " ⏎ ".join(masked(record.payload).splitlines())
        text = text if len(text) <= WIDTH else f"{text[: WIDTH - 20]} … ({len(record.payload)} characters)"
        lines.append(f"  {record.at - trace.began:8.3f} {arrow} {kind}{text}".rstrip())
    return "\n".join(lines)


def masked(text: str) -> str:
    """Return `text` without credentials."""
    return _SECRET.sub(r"\1***", text)
