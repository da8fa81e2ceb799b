"""Flaws of chapter 11: tickets."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import time
from dataclasses import dataclass

from tests.proof.flaws.callers import (
    admitted,
    claims_of,
    is_other,
    minted,
    offers_of,
    ticket_of,
    token_of,
    with_token,
    without_query,
)
from tests.proof.flaws.flaw import answers, asks, flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.rewrite import Rewrite

from .authentication import WELL_KNOWN
from .connection import problem
from .http import body_of, with_members

UNAUTHORIZED = problem(401, "unauthorized").with_header("www-authenticate", "Bearer")


def is_ticket_request(request: Request) -> bool:
    """Whether a request asks for a ticket."""
    return request.method == "POST" and request.path.endswith("/tickets")


@dataclass(slots=True)
class Issued:
    """A ticket as the proxy saw it."""

    at: float
    expires_in_s: float
    origin: str | None
    seen: int = 0


class Tickets(Rewrite):
    """Knows every ticket that was issued, and how often a handshake has shown it."""

    def __init__(self) -> None:
        super().__init__()
        self.issued: dict[str, Issued] = {}

    def response(self, request: Request, response: Response) -> Response:
        body = body_of(response) if is_ticket_request(request) and response.status == 200 else None
        if body is not None:
            origin = request.headers.get("origin")
            self.issued[body["ticket"]] = Issued(time.monotonic(), body["expires_in_s"], origin)
        return response

    def request(self, request: Request) -> Request | Response:
        issued = self.issued.get(ticket_of(request))
        if issued is None:
            return request
        issued.seen += request.is_upgrade
        return self.shown(request, issued)

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        """Rewrite a request that carries a ticket."""
        return request


@answers("TICKET-1", auth=True)
def tickets_are_created(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A ticket is answered with 201."""
    return response.with_status(201) if is_ticket_request(request) and response.status == 200 else response


@answers("TICKET-1", auth=True)
def tickets_with_a_date(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A ticket tells when it expires and not in how many seconds."""
    issued = is_ticket_request(request) and response.status == 200
    return with_members(response, expires_in_s="2026-11-24T12:00:00Z") if issued else response


@flaw("TICKET-1", auth=True)
class OneTicketForAll(Tickets):
    """Whoever asks again gets the same ticket."""

    def response(self, request: Request, response: Response) -> Response:
        super().response(request, response)
        issued = is_ticket_request(request) and response.status == 200
        return with_members(response, ticket=next(iter(self.issued))) if issued else response


@flaw("TICKET-1", auth=True)
class TicketsOpenNothing(Tickets):
    """No ticket is accepted."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        return UNAUTHORIZED


@answers("TICKET-3", auth=True)
def tickets_for_a_minute(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A ticket is good for a minute."""
    return (
        with_members(response, expires_in_s=60)
        if is_ticket_request(request) and response.status == 200
        else response
    )


@flaw("TICKET-3", auth=True)
class OldTicketsAreGood(Tickets):
    """A ticket is good for ever."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        old = issued.seen == 1 and time.monotonic() - issued.at > issued.expires_in_s
        return admitted(self, request) if old else request


@answers("TICKET-3", auth=True)
def tickets_outlive_what_they_say(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A ticket is good for longer than it was issued with."""
    return (
        with_members(response, expires_in_s=0.5)
        if is_ticket_request(request) and response.status == 200
        else response
    )


@flaw("TICKET-4", auth=True)
class TicketsAreGoodTwice(Tickets):
    """A ticket is accepted twice."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        return admitted(self, request) if issued.seen == 2 and request.is_upgrade else request


@flaw("TICKET-4", auth=True)
class TicketsAreSpentInTime(Tickets):
    """A ticket that comes twice within a moment is accepted twice."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, float] = {}

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        first = self._first.setdefault(ticket_of(request), time.monotonic())
        again = issued.seen > 1 and request.is_upgrade and time.monotonic() - first < 0.05
        return admitted(self, request) if again else request


@flaw("TICKET-4", auth=True)
class RefusedHandshakesSpendNothing(Tickets):
    """A ticket is spent only by a handshake that is accepted."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        foreign = "attacker" in (request.headers.get("origin") or "")
        return problem(403, "forbidden") if request.is_upgrade and foreign else request


@flaw("TICKET-4", auth=True)
class ForeignVersionsSpendNothing(Tickets):
    """A ticket is not spent by a handshake that offers none of the served versions."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        return problem(400, "bad_request") if offers_of(request) == ["runwire.v9"] else request


@flaw("TICKET-5", auth=True)
class TicketsAreGoodForRequests(Tickets):
    """A ticket is good for a plain request."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        plain = not request.is_upgrade and request.path != WELL_KNOWN
        return admitted(self, request) if plain else request


@flaw("TICKET-5", auth=True)
class TicketsAreGoodForReading(Tickets):
    """A ticket is good for a GET of a run."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        reads = request.method == "GET" and "/runs/" in request.path
        return admitted(self, request) if reads else request


@flaw("TICKET-5", auth=True)
class TicketsAreTokens(Tickets):
    """A ticket is good as a bearer token."""

    def request(self, request: Request) -> Request | Response:
        return admitted(self, request) if token_of(request) in self.issued else super().request(request)


@flaw("TICKET-6", auth=True)
class TicketsAreGoodAnywhere(Tickets):
    """A ticket is good at every listed origin."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        if issued.origin is None:
            return request.without_header("origin")
        return request.with_header("origin", issued.origin)


@flaw("TICKET-6", auth=True)
class TicketsWithoutOriginAreGoodAnywhere(Tickets):
    """A ticket that was issued without an origin is good at every listed one."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        return request.without_header("origin") if issued.origin is None else request


@flaw("TICKET-6", auth=True)
class TicketsAreGoodWithoutOrigin(Tickets):
    """A ticket that was issued to an origin is good without one."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        bare = issued.origin is not None and request.headers.get("origin") is None
        return request.with_header("origin", issued.origin) if bare and issued.origin else request


@flaw("TICKET-6", auth=True)
class TicketsAreGoodAtNoOrigin(Tickets):
    """A ticket that was issued to an origin is refused there."""

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        return UNAUTHORIZED if issued.origin is not None else request


@asks("TICKET-7", auth=True)
def tickets_are_the_first_principals(flaw: Rewrite, request: Request) -> Request | Response:
    """A ticket of another principal opens a connection of the first."""
    return admitted(flaw, request) if is_ticket_request(request) and is_other(flaw, request) else request


@asks("TICKET-7", auth=True)
def tickets_are_a_principal_of_their_own(flaw: Rewrite, request: Request) -> Request | Response:
    """A connection that was opened with a ticket has a principal of its own."""
    own = is_ticket_request(request) and token_of(request) == flaw.credentials["token"]
    return with_token(request, flaw.credentials["other_token"]) if own else request


@asks("TICKET-7", auth=True)
def tickets_forget_when_the_token_ends(flaw: Rewrite, request: Request) -> Request | Response:
    """A connection that was opened with a ticket outlives the token behind it."""
    claims = claims_of(token_of(request)) if is_ticket_request(request) else {}
    return (
        with_token(request, minted(flaw, claims, exp=int(claims["exp"]) + 600))
        if "exp" in claims
        else request
    )


@flaw("CONN-4", auth=True)
class DiscoverySpendsTickets(Tickets):
    """A ticket that is shown to discovery is spent."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def shown(self, request: Request, issued: Issued) -> Request | Response:
        if request.path == WELL_KNOWN:
            self._shown.add(ticket_of(request))
        return UNAUTHORIZED if request.is_upgrade and ticket_of(request) in self._shown else request


@asks("CONN-4", auth=True)
def discovery_looks_at_no_ticket(flaw: Rewrite, request: Request) -> Request | Response:
    """Discovery answers 200 whatever the ticket."""
    return without_query(request, "ticket") if request.path == WELL_KNOWN else request


@answers("HTTP-13", auth=True)
def tickets_may_be_stored(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The answer with a ticket may be stored."""
    return response.without_header("cache-control") if is_ticket_request(request) else response
