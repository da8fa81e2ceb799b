"""Flaws of chapter 11: credentials."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable

from tests.proof.flaws.callers import (
    admitted,
    is_anonymous,
    offers_of,
    query_of,
    ticket_of,
    token_of,
    with_offers,
    with_token,
    without_query,
)
from tests.proof.flaws.flaw import answers, asks, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite

from .connection import problem
from .http import below_runs, is_run_start, with_members

WELL_KNOWN = "/.well-known/runwire"


def _is_discovery(request: Request) -> bool:
    return request.path == WELL_KNOWN


@asks("CONN-3", auth=True)
def discovery_looks_at_no_credential(flaw: Rewrite, request: Request) -> Request | Response:
    """The discovery document is given to everybody, also with a wrong token."""
    return request.without_header("authorization") if _is_discovery(request) else request


@answers("CONN-3", auth=True)
def discovery_refuses_with_403(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The discovery document is refused with 403 where a handshake is refused with 401."""
    return problem(403, "forbidden") if _is_discovery(request) and response.status == 401 else response


@answers("AUTH-1", auth=True)
def unknown_callers_are_forbidden(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A request without a valid credential gets 403."""
    return problem(403, "forbidden") if response.status == 401 else response


@answers("AUTH-1", auth=True)
def nobody_is_asked_for_a_credential(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A 401 has no WWW-Authenticate."""
    return response.without_header("www-authenticate")


@answers("AUTH-1", auth=True)
def handshakes_do_not_ask_for_a_credential(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The 401 of a handshake has no WWW-Authenticate."""
    return response.without_header("www-authenticate") if request.is_upgrade else response


@answers("AUTH-1", auth=True)
def unauthorized_without_type(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The body of a 401 has no media type."""
    return response.without_header("content-type") if response.status == 401 else response


@answers("AUTH-1", auth=True)
def unauthorized_without_code(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The body of a 401 does not tell the code."""
    bare = {"title": "Unauthorized", "status": 401}
    return response.with_body(json.dumps(bare).encode()) if response.status == 401 else response


@asks("AUTH-1", auth=True)
def anybody_reads(flaw: Rewrite, request: Request) -> Request | Response:
    """A GET below the runs needs no credential."""
    reads = request.method == "GET" and below_runs(request) and is_anonymous(request)
    return admitted(flaw, request) if reads else request


@asks("AUTH-1", auth=True)
def anybody_cancels(flaw: Rewrite, request: Request) -> Request | Response:
    """A cancel over HTTP needs no credential."""
    cancels = request.path.endswith("/cancel") and is_anonymous(request)
    return admitted(flaw, request) if cancels else request


@asks("AUTH-1", auth=True)
def anybody_connects(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake needs no credential."""
    return admitted(flaw, request) if request.is_upgrade and is_anonymous(request) else request


@asks("AUTH-1", auth=True)
def any_token_is_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token that nobody issued is good."""
    return admitted(flaw, request) if token_of(request).startswith("wrong-") else request


@asks("AUTH-1", auth=True)
def the_first_of_two_credentials_counts(flaw: Rewrite, request: Request) -> Request | Response:
    """Of two Authorization headers the first one counts."""
    first = request.headers.get("authorization")
    return request.with_header("authorization", first) if first else request


@asks("AUTH-1", auth=True)
def any_scheme_is_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token is good under any scheme of the Authorization header."""
    value = request.headers.get("authorization") or ""
    return (
        with_token(request, value.rpartition(" ")[2]) if value and not value.startswith("Bearer") else request
    )


@asks("AUTH-1", auth=True)
def subprotocols_are_not_checked(flaw: Rewrite, request: Request) -> Request | Response:
    """Any token in a subprotocol is good."""
    offered = any(offer.startswith("bearer.") for offer in offers_of(request))
    return admitted(flaw, request) if offered and not token_of(request) else request


@answers("AUTH-2", auth=True)
def forbidden_callers_are_unknown(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A principal that may not do this gets 401."""
    forbidden = token_of(request) == flaw.credentials["forbidden_token"] and response.status == 403
    return problem(401, "unauthorized").with_header("www-authenticate", "Bearer") if forbidden else response


@asks("AUTH-2", auth=True)
def forbidden_callers_are_admitted(flaw: Rewrite, request: Request) -> Request | Response:
    """Every principal may do everything."""
    forbidden = token_of(request) == flaw.credentials["forbidden_token"]
    return admitted(flaw, request) if forbidden else request


@asks("AUTH-2", auth=True)
def forbidden_callers_start_runs(flaw: Rewrite, request: Request) -> Request | Response:
    """A principal that may not do this can start runs over HTTP."""
    forbidden = is_run_start(request) and token_of(request) == flaw.credentials["forbidden_token"]
    return admitted(flaw, request) if forbidden else request


@answers("AUTH-3", auth=True)
def unauthorized_without_a_problem(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A handshake that is refused with 401 has no body."""
    bare = request.is_upgrade and response.status == 401
    return response.without_header("content-type").with_body(b"") if bare else response


@asks("AUTH-4", auth=True)
def subprotocols_come_before_the_header(flaw: Rewrite, request: Request) -> Request | Response:
    """A token in a subprotocol wins over one in the header."""
    offered = any(offer.startswith("bearer.") for offer in offers_of(request))
    return request.without_header("authorization") if offered else request


@asks("AUTH-4", auth=True)
def tickets_come_first(flaw: Rewrite, request: Request) -> Request | Response:
    """A ticket wins over a token in a subprotocol."""
    offers = [offer for offer in offers_of(request) if not offer.startswith("bearer.")]
    return with_offers(request, offers) if ticket_of(request) and offers else request


@asks("AUTH-4", auth=True)
def cookies_come_first(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie makes up for a bad token."""
    return request.without_header("authorization") if request.headers.get("cookie") else request


@asks("AUTH-4", auth=True)
def cookies_come_before_tickets(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie makes up for a bad ticket."""
    return without_query(request, "ticket") if request.headers.get("cookie") else request


@asks("AUTH-5", auth=True)
def headers_not_looked_at_in_posts(flaw: Rewrite, request: Request) -> Request | Response:
    """A token in the header of a POST is not looked at."""
    return request.without_header("authorization") if is_run_start(request) else request


@asks("AUTH-5", auth=True)
def headers_not_looked_at_in_later_handshakes(flaw: Rewrite, request: Request) -> Request | Response:
    """A token in the header of a handshake is not looked at, but for the first few."""
    later = request.is_upgrade and flaw.nth("handshake") > 5
    return request.without_header("authorization") if later else request


def _offered_at(name: str, at: int, doc: str) -> None:
    def request(flaw: Rewrite, request: Request) -> Request | Response:
        offers = offers_of(request)
        kept = [
            offer for place, offer in enumerate(offers) if place == at % len(offers) or offer[:7] != "bearer."
        ]
        return with_offers(request, kept) if offers else request

    request.__name__, request.__doc__ = name, doc
    asks("AUTH-6", auth=True)(request)


_offered_at(
    "a_token_counts_as_the_first_subprotocol", 0, "A token in a subprotocol counts only when offered first."
)
_offered_at(
    "a_token_counts_as_the_last_subprotocol", -1, "A token in a subprotocol counts only when offered last."
)


@answers("AUTH-7", auth=True)
def token_selected_as_subprotocol(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The handshake's answer repeats the token that was offered."""
    offered = next((offer for offer in offers_of(request) if offer.startswith("bearer.")), None)
    opened = offered and response.status == 101
    return response.with_header("sec-websocket-protocol", str(offered)) if opened else response


@answers("AUTH-7", auth=True)
def token_in_a_header(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Answers repeat the token in a header of their own."""
    token = token_of(request)
    return response.with_header("x-caller", token) if token else response


@answers("AUTH-7", auth=True)
def token_in_the_problem(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The body of a 401 quotes the token."""
    return (
        with_members(response, detail=f"{token_of(request)} is not known")
        if response.status == 401
        else response
    )


@answers("AUTH-7", auth=True)
def refused_subprotocols_quoted(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The body of a refused handshake quotes the offered subprotocols."""
    refused = request.is_upgrade and response.status == 401
    return with_members(response, detail=", ".join(offers_of(request))) if refused else response


@says("AUTH-7", auth=True)
def token_in_ready(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`ready` tells which token the connection was opened with."""
    ready = message.get("type") == "ready"
    yield {**message, "vendor:caller": token_of(link.request)} if ready else message


def _without_origin(request: Request) -> bool:
    return request.headers.get("cookie") is not None and request.headers.get("origin") is None


@asks("AUTH-9", auth=True)
def cookies_need_no_origin(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie is good without an Origin."""
    return admitted(flaw, request) if _without_origin(request) else request


@asks("AUTH-9", auth=True)
def cookies_need_no_origin_over_http(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie is good without an Origin in a GET."""
    reads = request.method == "GET" and not request.is_upgrade and _without_origin(request)
    return admitted(flaw, request) if reads else request


@asks("AUTH-9", auth=True)
def same_origin_posts_need_no_origin(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie is good without an Origin in a POST whose Sec-Fetch-Site is same-origin."""
    same = request.method == "POST" and request.headers.get("sec-fetch-site") == "same-origin"
    return admitted(flaw, request) if same and _without_origin(request) else request


@asks("AUTH-9", auth=True)
def same_site_is_as_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie is good without an Origin when the Sec-Fetch-Site is same-site."""
    same = request.headers.get("sec-fetch-site") == "same-site"
    return request.with_header("sec-fetch-site", "same-origin") if same else request


@asks("AUTH-9", auth=True)
def pages_cannot_read_with_their_cookie(flaw: Rewrite, request: Request) -> Request | Response:
    """A cookie needs an Origin also in a GET of the same origin."""
    return request.without_header("sec-fetch-site")


@asks("AUTH-9", auth=True)
def cookies_of_listed_origins_are_refused(flaw: Rewrite, request: Request) -> Request | Response:
    """A handshake with a cookie is refused also from an origin that the operator listed."""
    baked = request.is_upgrade and request.headers.get("cookie") and request.headers.get("origin")
    return problem(403, "forbidden") if baked else request


@answers("AUTH-9", auth=True)
def cookies_without_origin_are_unknown(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A cookie without an Origin gets 401."""
    refused = response.status == 403 and _without_origin(request)
    return problem(401, "unauthorized").with_header("www-authenticate", "Bearer") if refused else response


@asks("AUTH-10", auth=True)
def tokens_in_urls_are_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token in the query is good."""
    token = query_of(request).get("access_token") or query_of(request).get("token")
    return with_token(without_query(request, "access_token", "token"), token) if token else request


@asks("AUTH-10", auth=True)
def tokens_in_urls_are_good_in_requests(flaw: Rewrite, request: Request) -> Request | Response:
    """A token in the query of a plain request is good."""
    token = query_of(request).get("access_token")
    return (
        with_token(without_query(request, "access_token"), token)
        if token and not request.is_upgrade
        else request
    )


@answers("HTTP-17", auth=True)
def refusals_are_not_readable(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A page of a listed origin cannot read why it was refused."""
    return response.without_header("access-control-allow-origin") if response.status == 401 else response


@answers("HTTP-18", auth=True)
def preflights_need_a_credential(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A CORS preflight without a credential is refused."""
    if not (request.method == "OPTIONS" and is_anonymous(request)):
        return response
    refused = problem(401, "unauthorized")
    for name, value in response.headers.lines:
        refused = refused.with_header(name, value) if name.lower().startswith("access-control-") else refused
    return refused


@answers("CONN-11", auth=True)
def upgrades_are_told_to_known_callers(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A plain GET on the WebSocket endpoint without a credential gets 401."""
    return problem(401, "unauthorized") if response.status == 426 and is_anonymous(request) else response
