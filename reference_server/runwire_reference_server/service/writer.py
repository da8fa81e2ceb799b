"""Log writer of one run: normalises the agent's events and appends them in order while the run has its lease."""

from runwire_reference_server.agents import done
from runwire_reference_server.run_log.event_sizes import ENVELOPE_BYTES, Fitter
from runwire_reference_server.run_log.events import Event, draft
from runwire_reference_server.run_log.store import Appender
from runwire_reference_server.service.settings import Settings

#: Bytes of a log kept free for its terminal.
TERMINAL_ROOM = 2048


class Writer:
    """What an agent says, on its way to the log."""

    def __init__(self, appender: Appender, settings: Settings) -> None:
        self.appender = appender
        self._size = 0
        self._append = appender.append
        self._most = settings.number("log_bytes") - TERMINAL_ROOM - ENVELOPE_BYTES
        self._nearly = self._most - settings.number("max_event_bytes")
        self._fitter = Fitter(settings.number("max_event_bytes"), settings.number("json_depth"))

    def append(self, event: Event) -> bool:
        """Append what `event` amounts to; False when the run is over. Raises TooLarge, Malformed and StoreGone."""
        if self._size <= self._nearly and (plain := self._fitter.plain(event)) is not None:
            self._size = self._append(plain)
            return self._size > 0
        for drafted in self._fitter.fit(event):
            if self._size + len(drafted.head) + len(drafted.text) > self._most:
                # [RUN-34] nothing is evicted, so what would not fit ends the run.
                self._append(draft(done("the log is full", "incomplete", "length")))
                return False
            self._size = self._append(drafted)
            if not self._size:
                return False
        return True

    async def end(self, terminal: Event) -> None:
        """Append the last event, unless another ended the run before; raises as `append` does."""
        for drafted in self._fitter.fit(terminal):
            self.appender.append(drafted)
        await self.appender.settled()
