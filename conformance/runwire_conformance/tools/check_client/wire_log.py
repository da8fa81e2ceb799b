"""Event log of one play: everything received from the client and done to it, with times."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runwire_conformance.trace.clock import now
from runwire_conformance.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that was seen; `at` is in seconds.

    `kind` is, of what came from the client: `discovery`, `handshake`, `request`, `attach`, `says`, `poll`, `pong`,
    `close`, `gone`, `report`, `exit`; of what was done to it: `mark`, `ended` (a connection, by the server).
    `connection` is the number of the connection, 0 without one.
    """

    at: float
    kind: str
    connection: int = 0
    members: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """Return a member, None when it is absent."""
        return self.members.get(name)


#: What shows that a client was there: it comes from the client itself.
FROM_CLIENT = frozenset(
    ["discovery", "handshake", "request", "attach", "says", "poll", "pong", "close", "gone", "report"]
)


@dataclass(slots=True)
class WireLog:
    """Everything that was seen in a play, in order, and the conversations as a report shows them."""

    entries: list[LogEntry] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=now)
    #: When the scenario last said something of its own: what is still being said is not waited for in vain.
    said_at: float = 0.0
    #: By `seq`, when an event of the log was said for the first time: whoever shows it before has not read it.
    said: dict[int, float] = field(default_factory=dict)

    def note(self, kind: str, connection: int = 0, **members: Any) -> LogEntry:
        """Note something, now."""
        one = LogEntry(now(), kind, connection, members)
        self.entries.append(one)
        self.changed.set()
        return one

    async def next_entry(self) -> None:
        """Wait until something more is seen."""
        count = len(self.entries)
        while len(self.entries) == count:
            self.changed.clear()
            await self.changed.wait()

    def of(self, *kinds: str) -> list[LogEntry]:
        """Return what is of one of these kinds, in order."""
        return [one for one in self.entries if one.kind in kinds]

    def mark(self, name: str) -> LogEntry | None:
        """Return where a mark was set for the first time."""
        return next((one for one in self.of("mark") if one.get("name") == name), None)

    def since(self, moment: float) -> Iterator[LogEntry]:
        """Yield what was seen after a moment."""
        return (one for one in self.entries if one.at > moment)

    @property
    def attaches(self) -> list[LogEntry]:
        """The `start`s and `resume`s, and what stands for them over HTTP, in order."""
        return self.of("attach")

    def active_after(self, moment: float) -> bool:
        """Whether the client gave a sign of itself after a moment, so that it cannot have been gone before."""
        return any(one.kind in FROM_CLIENT for one in self.since(moment))
