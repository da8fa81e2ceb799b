"""A conversation for people: times, directions, frames cut to a line each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runwire_conformance.trace.printing import fit
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Side, Trace, outline

#: Characters of a frame, and frames of a conversation, that are shown.
WIDTH = 160
MOST_LINES = 40

_SECRET = re.compile(r"(?i)(authorization: *bearer +|bearer\.|ticket=)[^\s;,&\"']+")


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One thing that was said: seconds since the conversation began, by whom, and what."""

    at: float
    side: Side
    text: str
    #: The requirement that was found broken here, if one was.
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """So many things that were said are not shown here."""

    count: int


def lines(trace: Trace, most: int = MOST_LINES) -> Iterator[TranscriptLine | Gap]:
    """Yield what was said; of a long conversation `most` lines, the beginning and the end, and what is marked."""
    skipped = 0
    shown = outline(len(trace.records), most, trace.telling)
    for number, record in enumerate(trace.records):
        skipped += trace.gaps.get(number, 0)
        if number not in shown:
            skipped += 1
            continue
        if skipped:
            yield Gap(skipped)
            skipped = 0
        at = round(record.at - trace.began, 3)
        yield TranscriptLine(at, record.side, _said(record), trace.marks.get(number, ""))
    skipped += trace.gaps.get(len(trace.records), 0)
    if skipped:
        yield Gap(skipped)


def transcript(trace: Trace) -> str:
    """Return a conversation, one record a line; of a long one the beginning, what is marked, and the end."""
    told = [f"  {trace.transport} {fit(masked(trace.title))}"]
    for line in lines(trace):
        if isinstance(line, Gap):
            told.append(f"            … {line.count} more …")
        else:
            arrow = "→" if line.side == "client" else "←"
            mark = f"   ✕ {line.mark}" if line.mark else ""
            told.append(f"  {line.at:8.3f} {arrow} {line.text}{mark}".rstrip())
    return "\n".join(told)


def masked(text: str) -> str:
    """Return `text` without credentials."""
    return _SECRET.sub(r"\1***", text)


def _said(record: Record) -> str:
    code = "" if record.code is None or record.kind == "response" else f" {record.code}"
    plain = record.kind in {"text", "block", "request", "response"} or record.payload == RESPONSE_ENDED
    kind = "" if plain else f"{record.kind}{code} "
    text = fit(masked(record.payload))
    cut = text if len(text) <= WIDTH else f"{text[: WIDTH - 20]} … ({len(record.payload)} characters)"
    return (kind + cut).rstrip()
