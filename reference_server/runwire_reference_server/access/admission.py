"""Admission of requests before a connection is accepted (chapter 11).

The order is client address, `Host` and `Origin`, credentials; limits come last, where a connection takes its place.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.datastructures import Headers, QueryParams

from runwire_reference_server.access.addresses import client_address, scheme, within
from runwire_reference_server.access.credentials import (
    Credential,
    CredentialKind,
    Presented,
    Unauthorized,
    has_url_token,
    presented,
)
from runwire_reference_server.access.origins import host_known, origin_listed
from runwire_reference_server.access.slots import slot_of, slot_of_address
from runwire_reference_server.access.tickets import Issued, Tickets
from runwire_reference_server.access.tokens import TokenVerifier, token_verifier
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import ANYONE, Principal
from runwire_reference_server.service.settings import Settings

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom an admitted request acts for.

    `place` is what its connections are counted under. `credential` is None on a server without authentication and
    for what answers without credentials.
    """

    principal: Principal
    slot: str
    credential: Credential | None = None

    def remaining_s(self) -> float | None:
        """Return for how many seconds the credential is still good; None when it does not expire."""
        if self.credential is None or self.credential.expires_at is None:
            return None
        return self.credential.expires_at - time.time()


def caller_of(scope: Mapping[str, Any]) -> Caller:
    """Return whom an admitted request acts for."""
    return cast(Caller, scope["runwire.caller"])


class Admission:
    """The gate of one server."""

    def __init__(
        self,
        settings: Settings,
        tickets: Tickets,
        verifier: TokenVerifier | None = None,
        *,
        open_paths: Collection[str] = (),
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_failure` is told the reason whenever a credential is not good.

        `open_paths` answer HTTP requests without credentials, and tell nothing about anybody ([CONN-11]).
        """
        self.tickets = tickets
        self._on_failure = on_failure
        self._settings = settings
        self._open_paths = frozenset(open_paths)
        self._access = settings.access
        self._verifier = verifier or token_verifier(settings.access)

    def check_address(self, scope: Scope, headers: Headers) -> None:
        """Check the client address, before anything else; raises Refusal ([ORIGIN-6])."""
        access = self._access
        scope["runwire.client"] = client_address(scope, headers, access.trusted_proxies)
        if access.allowed_addresses and not within(scope["runwire.client"], access.allowed_addresses):
            raise Refusal("forbidden", "this client address is not allowed")

    async def check_host_and_origin(self, scope: Scope, headers: Headers) -> None:
        """Check `Host` and `Origin`; raises Refusal.

        A ticket is consumed here, so that it is spent whatever becomes of the handshake ([TICKET-4]).
        """
        scope["runwire.presented"] = given = self._presented(scope, headers)
        if given is not None and given.kind is CredentialKind.TICKET:
            consume = scope["type"] == "websocket"  # [CONN-4], [TICKET-5]
            take = self.tickets.take if consume else self.tickets.look
            scope["runwire.ticket"] = await take(given.token)
        if not host_known(self._settings, scope, headers):
            raise Refusal("forbidden", "unknown Host; see --allow-host")  # [ORIGIN-4]
        if not origin_listed(self._settings, scope, headers):
            raise Refusal("forbidden", "this Origin is not allowed; see --allow-origin")  # [ORIGIN-1]

    async def check_credential(self, scope: Scope, headers: Headers) -> None:
        """Find out whom the request acts for, for `caller_of` to return; raises Refusal ([AUTH-1])."""
        scope["runwire.caller"] = Caller(ANYONE, slot_of_address(scope["runwire.client"]))
        if not self._access.authenticates or self._is_open(scope):
            return
        given = scope["runwire.presented"]
        in_url = has_url_token(QueryParams(scope["query_string"]))
        if given is None and not in_url and scope["path"] == self._settings.discovery_path:
            return  # [CONN-1]
        try:
            credential = await self._verified(scope, headers, None if in_url else given, in_url=in_url)
        except Unauthorized as refused:
            log.info("a caller was not admitted: %s", refused.reason)  # [AUTH-8] the reason and no more
            self._on_failure(refused.reason)
            raise
        scope["runwire.caller"] = Caller(credential.principal, slot_of(credential.principal), credential)

    async def _verified(
        self, scope: Scope, headers: Headers, given: Presented | None, *, in_url: bool
    ) -> Credential:
        if given is None:
            raise Unauthorized("in_url" if in_url else "missing")  # [AUTH-10]
        if given.kind is CredentialKind.TICKET:
            return self._ticket(scope, headers)
        credential = await self._verifier.verify(given.token)
        if given.kind is CredentialKind.COOKIE and not _page_is_known(scope, headers):
            raise Refusal("forbidden", "a cookie is accepted only with an Origin")  # [AUTH-9]
        return credential

    def _ticket(self, scope: Scope, headers: Headers) -> Credential:
        issued: Issued | None = scope["runwire.ticket"]
        origin = headers.get("origin")
        if scope["type"] == "http" and origin is None and headers.get("sec-fetch-site") == "same-origin":
            # A page asks why its handshake failed; unlike the handshake, this request of it has no Origin.
            own = scheme(scope, headers, self._access.trusted_proxies)
            origin = f"{own}://{headers.get('host', '')}"
        if issued is None or issued.origin != origin:
            raise Unauthorized("ticket")  # [TICKET-6]
        expires_at = issued.credential.expires_at
        if expires_at is not None and expires_at <= time.time():
            raise Unauthorized("expired")  # [TICKET-7]
        return issued.credential

    def _presented(self, scope: Scope, headers: Headers) -> Presented | None:
        if not self._access.authenticates:
            return None
        # [CONN-3] discovery answers as the handshake would
        handshake = scope["type"] == "websocket" or scope["path"] == self._settings.discovery_path
        query = QueryParams(scope["query_string"])
        return presented(headers, query, self._access.cookie, handshake=handshake)

    def _is_open(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] in self._open_paths


def _page_is_known(scope: Scope, headers: Headers) -> bool:
    """Whether a browser vouches for the page that sends a cookie; a listed `Origin` was checked before."""
    if "origin" in headers:
        return True
    return scope.get("method", "GET") == "GET" and headers.get("sec-fetch-site") == "same-origin"
