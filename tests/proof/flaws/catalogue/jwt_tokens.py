"""Flaws of chapter 11: JSON Web Tokens."""

from __future__ import annotations

import time

import jwt

from tests.proof.flaws.callers import admitted, claims_of, minted, token_of, with_token
from tests.proof.flaws.flaw import asks
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.rewrite import Rewrite


def _algorithm(request: Request) -> str | None:
    """Return the algorithm that a JSON Web Token names, None without a token."""
    try:
        return str(jwt.get_unverified_header(token_of(request)).get("alg", ""))
    except jwt.PyJWTError:
        return None


@asks("AUTH-16", auth=True)
def unsigned_tokens_are_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token of the algorithm none is good."""
    return admitted(flaw, request) if _algorithm(request) == "none" else request


@asks("AUTH-16", auth=True)
def none_in_capitals_is_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token of the algorithm NONE is good."""
    return admitted(flaw, request) if _algorithm(request) == "NONE" else request


@asks("AUTH-16", auth=True)
def unknown_algorithms_are_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token of an algorithm that nobody configured is not checked."""
    algorithm = _algorithm(request)
    unknown = algorithm is not None and algorithm != "HS256" and algorithm.lower() != "none"
    return admitted(flaw, request) if unknown else request


@asks("AUTH-16", auth=True)
def signatures_are_not_checked(flaw: Rewrite, request: Request) -> Request | Response:
    """A token is good with any signature of the right algorithm."""
    try:
        jwt.decode(token_of(request), flaw.credentials["secret"], ["HS256"], options={"verify_aud": False})
    except jwt.InvalidSignatureError:
        return admitted(flaw, request)
    except jwt.PyJWTError:
        pass
    return request


@asks("AUTH-17", auth=True)
def tokens_need_no_end(flaw: Rewrite, request: Request) -> Request | Response:
    """A token without exp is good."""
    claims = claims_of(token_of(request))
    endless = "sub" in claims and "exp" not in claims
    return with_token(request, minted(flaw, claims, exp=int(time.time()) + 60)) if endless else request


@asks("AUTH-17", auth=True)
def ended_tokens_are_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token is good after its exp, for an hour."""
    claims = claims_of(token_of(request))
    ended = claims.get("exp", 1e12) < time.time()
    return with_token(request, minted(flaw, claims, exp=int(claims["exp"]) + 3600)) if ended else request


@asks("AUTH-17", auth=True)
def early_tokens_are_good(flaw: Rewrite, request: Request) -> Request | Response:
    """A token is good before its nbf."""
    claims = claims_of(token_of(request))
    return with_token(request, minted(flaw, claims, nbf=None)) if "nbf" in claims else request


@asks("AUTH-17", auth=True)
def audiences_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """A token for another audience is good."""
    claims = claims_of(token_of(request))
    return with_token(request, minted(flaw, claims, aud="runwire-check")) if "aud" in claims else request
