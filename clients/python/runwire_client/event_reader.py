"""Server-sent events, read as the WHATWG standard has it."""

import codecs
import re

from runwire_client.problem import RunwireError

#: The most characters of one event.
MOST_EVENT_CHARS = 1 << 24

_LINE_END = re.compile(r"\r\n|\r|\n")


class EventReader:
    """Reads a stream in pieces, cut anywhere. Lines end with CR LF, CR or LF, and with nothing else."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = False
        self._pieces: list[str] = []
        self._after_cr = False
        self._data: list[str] = []
        self._held = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the data of the events that some bytes complete; raises RunwireError for one without an end."""
        text = self._decoder.decode(data)
        if not text:
            return []
        if not self._begun:
            self._begun, text = True, text.removeprefix("\ufeff")
        begin = 1 if self._after_cr and text.startswith("\n") else 0
        self._after_cr = text.endswith("\r")
        *lines, rest = _LINE_END.split(text[begin:])
        events: list[str] = []
        for line in lines:
            self._line("".join([*self._pieces, line]), events)
            self._pieces = []
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
        if self._held > MOST_EVENT_CHARS:
            raise RunwireError("the stream holds an event without end", retryable=True)
        return events

    def _line(self, line: str, events: list[str]) -> None:
        if not line:
            if self._data:
                events.append("\n".join(self._data))
            self._data, self._held = [], 0
            return
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            self._held += len(value) + 1
