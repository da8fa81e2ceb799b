"""Readable transcript of a conversation: times, directions, one line per frame."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Side, Trace, outline

#: Characters of a frame, and frames of a conversation, that are shown; more of a message whose members decide a case.
WIDTH = 160
WHOLE_WIDTH = 480
MOST_LINES = 40

#: Types of messages that are short and tell the most with their last members.
TELLING_TYPES = frozenset({"started", "resumed", "notice"})

_SECRET = re.compile(r"(?i)(authorization: *bearer +|bearer\.|ticket=)[^\s;,&\"']+")


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One thing that was said: seconds since the first conversation of its case began, by whom, and what."""

    at: float
    side: Side
    text: str
    #: The requirement that was found broken here, if one was.
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """So many things that were said are not shown here."""

    count: int


def lines(trace: Trace, most: int = MOST_LINES, since: float | None = None) -> Iterator[TranscriptLine | Gap]:
    """Yield what was said; of a long conversation `most` lines, the beginning and the end, and what is marked.

    Times count from the clock's `since`, without it from the beginning of the conversation.
    """
    skipped = 0
    begun = trace.began if since is None else since
    shown = outline(len(trace.records), most, trace.always_kept)
    for number, record in enumerate(trace.records):
        skipped += trace.gaps.get(number, 0)
        if number not in shown:
            skipped += 1
            continue
        if skipped:
            yield Gap(skipped)
            skipped = 0
        at = round(record.at - begun, 3)
        yield TranscriptLine(at, record.side, _said(record), trace.marks.get(number, ""))
    skipped += trace.gaps.get(len(trace.records), 0)
    if skipped:
        yield Gap(skipped)


def begin_of(traces: Iterable[Trace]) -> float | None:
    """Return when the first of a case's conversations began, None without any: the clock that all of them share."""
    return min((trace.began for trace in traces), default=None)


def transcript(trace: Trace, since: float | None = None) -> str:
    """Return a conversation, one record a line; of a long one the beginning, what is marked, and the end."""
    told = [f"  {trace.transport} {printable(masked(trace.title))}"]
    for line in lines(trace, since=since):
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
    text = printable(masked(record.payload))
    width = WHOLE_WIDTH if record.message is not None and record.message.type in TELLING_TYPES else WIDTH
    cut = text if len(text) <= width else f"{text[: width - 20]} … ({len(record.payload)} characters)"
    return (kind + cut).rstrip()
