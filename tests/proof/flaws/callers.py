"""What a rewrite can read from a request about its caller, and how it can be made another's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import jwt

from tests.support.mint_token import mint

from .http1 import Request
from .rewrite import Rewrite

Claims = dict[str, Any]


def token_of(request: Request) -> str:
    """Return the bearer token of the Authorization header, empty without one."""
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def with_token(request: Request, token: str) -> Request:
    """Return the request with this bearer token in its header."""
    return request.with_header("authorization", f"Bearer {token}")


def admitted(flaw: Rewrite, request: Request) -> Request:
    """Return the request as the judge's own principal would send it, by header and nothing else."""
    offers = [offer for offer in offers_of(request) if not offer.startswith("bearer.")]
    plain = with_offers(without_query(request, "ticket"), offers).without_header("cookie")
    return with_token(plain, flaw.credentials["token"])


def is_anonymous(request: Request) -> bool:
    """Whether a request shows no credential at all."""
    offered = any(offer.startswith("bearer.") for offer in offers_of(request))
    shown = request.headers.get("authorization") is not None or request.headers.get("cookie") is not None
    return not shown and not offered and not ticket_of(request)


def offers_of(request: Request) -> list[str]:
    """Return the offered subprotocols."""
    value = request.headers.get("sec-websocket-protocol") or ""
    return [offer.strip() for offer in value.split(",") if offer.strip()]


def with_offers(request: Request, offers: list[str]) -> Request:
    """Return the request with these subprotocols offered, or none."""
    if not offers:
        return request.without_header("sec-websocket-protocol")
    return request.with_header("sec-websocket-protocol", ", ".join(offers))


def ticket_of(request: Request) -> str:
    """Return the ticket in the query, empty without one."""
    return query_of(request).get("ticket", "")


def query_of(request: Request) -> dict[str, str]:
    """Return the query parameters."""
    return dict(parse_qsl(urlsplit(request.target).query))


def without_query(request: Request, *names: str) -> Request:
    """Return the request without these query parameters."""
    kept = {name: value for name, value in query_of(request).items() if name not in names}
    parts = urlsplit(request.target)
    return replace(request, target=urlunsplit(parts._replace(query=urlencode(kept))))


def claims_of(token: str) -> Claims:
    """Return the claims of a JSON Web Token, unchecked; none of another token."""
    try:
        claims: Claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims


def minted(flaw: Rewrite, claims: Claims, **changed: Any) -> str:
    """Return a good JSON Web Token with these claims, some of them changed, None leaving one out."""
    own = {name: None for name in ("iss", "aud", "exp", "jti", "scope") if name not in claims}
    return mint(
        flaw.credentials["secret"], claims["sub"], 60, **{**own, **claims, **changed, "sub": claims["sub"]}
    )


def is_other(flaw: Rewrite, request: Request) -> bool:
    """Whether a request is the second principal's."""
    return token_of(request) == flaw.credentials["other_token"]
