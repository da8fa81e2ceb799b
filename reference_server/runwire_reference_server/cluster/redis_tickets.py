"""Single-use tickets valid on every node, in Redis."""

import hashlib
import json
import secrets

from runwire_reference_server.access.credentials import Credential
from runwire_reference_server.access.tickets import MAX_OPEN, Issued, too_many_tickets
from runwire_reference_server.cluster.redis_node import RedisNode
from runwire_reference_server.cluster.redis_store import owner_of
from runwire_reference_server.run_log.runs import Principal


class RedisTickets:
    """The tickets of many nodes. The store knows them by their hashes: who can read it cannot use them."""

    def __init__(self, node: RedisNode) -> None:
        self._node = node

    async def issue(self, issued: Issued, lifetime_s: float) -> str:
        ticket = secrets.token_urlsafe(24)
        credential = issued.credential
        principal = credential.principal
        text = json.dumps([principal.issuer, principal.subject, credential.expires_at, issued.origin])
        arguments = (owner_of(principal), _hashed(ticket), max(1, int(lifetime_s * 1000)), MAX_OPEN, text)
        if not await self._node.step("issue_ticket", *arguments):
            raise too_many_tickets(lifetime_s)
        return ticket

    async def take(self, ticket: str) -> Issued | None:
        return _issued(await self._node.step("take_ticket", _hashed(ticket)))

    async def look(self, ticket: str) -> Issued | None:
        return _issued(await self._node.step("look_ticket", _hashed(ticket)))


def _hashed(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _issued(text: bytes | None) -> Issued | None:
    if text is None:
        return None
    issuer, subject, expires_at, origin = json.loads(text)
    return Issued(Credential(Principal(issuer, subject), expires_at), origin)
