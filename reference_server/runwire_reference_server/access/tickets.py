"""Single-use tickets, for pages that cannot set headers on a WebSocket (chapter 11)."""

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from runwire_reference_server.access.credentials import Credential
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import Principal

#: How many tickets a principal may have open; each costs memory until it is used or too old.
MAX_OPEN = 100


@dataclass(frozen=True, slots=True)
class Issued:
    """For which credential and which `Origin` (None: none) a ticket was issued ([TICKET-6], [TICKET-7])."""

    credential: Credential
    origin: str | None


def too_many_tickets(lifetime_s: float) -> Refusal:
    """Return what is told to whoever has as many open tickets as they may have."""
    return Refusal("rate_limited", "too many unused tickets", lifetime_s)


class Tickets(Protocol):
    """Keeps tickets until they are used or too old. Every method is one atomic step."""

    async def issue(self, issued: Issued, lifetime_s: float) -> str:
        """Return a new ticket of at least 128 random bits ([TICKET-2]); raises Refusal when there are too many."""

    async def take(self, ticket: str) -> Issued | None:
        """Return what `ticket` was issued for and forget it ([TICKET-4]); None when unknown or too old."""

    async def look(self, ticket: str) -> Issued | None:
        """Like `take`, but forget nothing ([CONN-4])."""


@dataclass(slots=True)
class MemoryTickets:
    """The tickets of a single process."""

    _open: dict[str, tuple[Issued, float]] = field(default_factory=dict)
    _counts: Counter[Principal] = field(default_factory=Counter)

    async def issue(self, issued: Issued, lifetime_s: float) -> str:
        principal = issued.credential.principal
        if self._counts[principal] >= MAX_OPEN:
            raise too_many_tickets(lifetime_s)
        ticket = secrets.token_urlsafe(24)
        loop = asyncio.get_running_loop()
        self._open[ticket] = issued, loop.time() + lifetime_s
        self._counts[principal] += 1
        loop.call_later(lifetime_s, self._forget, ticket)
        return ticket

    async def take(self, ticket: str) -> Issued | None:
        issued = await self.look(ticket)
        self._forget(ticket)
        return issued

    async def look(self, ticket: str) -> Issued | None:
        issued, until = self._open.get(ticket, (None, 0.0))
        return issued if until > asyncio.get_running_loop().time() else None  # [TICKET-3]

    def _forget(self, ticket: str) -> None:
        if found := self._open.pop(ticket, None):
            principal = found[0].credential.principal
            self._counts[principal] -= 1
            if not self._counts[principal]:
                del self._counts[principal]
