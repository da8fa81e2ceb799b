"""Remarks on a recording: noteworthy observations that are not breaches, such as unknown types."""

import difflib
from collections.abc import Iterable, Iterator, Sequence

from runwire_conformance.trace.message import FINISHED, Message
from runwire_schemas import CLIENT_TYPES, SERVER_TYPES

#: How many of one kind are told one by one.
MOST_TOLD = 20

#: A message with the place at which it stands.
LocatedMessage = tuple[str, Message]


def remarks_on(connections: Sequence[Sequence[LocatedMessage]], whole: bool) -> Iterator[str]:
    """Yield remarks on the messages of some connections; of runs only where nothing is missing."""
    every = [placed for connection in connections for placed in connection]
    yield from _few(unknown_types(every), "unknown types")
    if whole:
        yield from _few(endless_runs(every), "unfinished runs")


def unknown_types(messages: Iterable[LocatedMessage]) -> Iterator[str]:
    """Yield each type that the specification does not know and no vendor has named, once."""
    known = [*SERVER_TYPES, *CLIENT_TYPES]
    told: set[str] = set()
    for place, message in messages:
        kind = message.type
        if kind and ":" not in kind and kind not in known and kind not in told:
            told.add(kind)
            near = difflib.get_close_matches(kind[:64], known, n=1)
            yield f"{place}: unknown type {kind!r}{f'; did you mean {near[0]}?' if near else ''}"


def endless_runs(messages: Sequence[LocatedMessage]) -> Iterator[str]:
    """Yield each run whose beginning is seen and whose end is not, once."""
    ended = {message.string("run_id") for _, message in messages if message.is_terminal}
    begun = {
        message.string("run_id"): place
        for place, message in messages
        if message.type in {"started", "resumed"} and message.string("status") not in FINISHED
    }
    for run_id, place in begun.items():
        if run_id and run_id not in ended:
            yield f"{place}: run {run_id} does not end here"
    # A basic server names no run: its one run goes on until the next terminal.
    nameless = [
        (place, message) for place, message in messages if message.is_event and "run_id" not in message
    ]
    if nameless and not begun and not nameless[-1][1].is_terminal:
        yield f"{nameless[-1][0]}: a run does not end here"


def _few(told: Iterator[str], of: str) -> Iterator[str]:
    for count, text in enumerate(told):
        if count == MOST_TOLD:
            yield f"and {1 + sum(1 for _ in told)} more {of}"
            return
        yield text
