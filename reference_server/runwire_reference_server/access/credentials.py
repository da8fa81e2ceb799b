"""Credentials: their positions in a request, and the verified result."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from starlette.datastructures import Headers, QueryParams

from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import Principal

#: Query parameters in which clients are known to put tokens ([AUTH-10]; `access_token` is RFC 6750's).
URL_TOKENS = frozenset(
    {"access_token", "api_key", "apikey", "authorization", "bearer", "id_token", "jwt", "token"}
)

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

#: Why a credential is not good, for logs and metrics, and what a person is told.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "missing": "give a credential: a bearer token, a ticket or a session cookie",
        "in_url": "a token must not stand in a URL; use the Authorization header, a subprotocol or a ticket",
        "malformed": "the credential is malformed",
        "unknown": "the credential is unknown",
        "expired": "the token has expired",
        "early": "the token is not valid yet",
        "audience": "the token is for another audience",
        "ticket": "the ticket is used, expired, for another Origin or unknown",
    }
)


class Unauthorized(Refusal):
    """No valid credential ([AUTH-1]); `reason` is one of REASONS and `challenge` the WWW-Authenticate header."""

    def __init__(self, reason: str) -> None:
        super().__init__("unauthorized", REASONS[reason])
        self.reason = reason

    @property
    def challenge(self) -> str:
        """What the client is asked for (RFC 6750, section 3); a credential that was not good is named as such."""
        return 'Bearer realm="runwire"' + ("" if self.reason == "missing" else ', error="invalid_token"')


class CredentialKind(StrEnum):
    """Where a credential stands, in the order in which they are looked for ([AUTH-4])."""

    HEADER = "header"
    SUBPROTOCOL = "subprotocol"
    TICKET = "ticket"
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential as presented; `token` is empty when it is malformed or there are several of its kind."""

    kind: CredentialKind
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified credential: for whom, and until when in seconds since the epoch (None: for ever)."""

    principal: Principal
    expires_at: float | None = None


def presented(
    headers: Headers, query: QueryParams, cookie: str | None, *, handshake: bool
) -> Presented | None:
    """Return the first present credential, the only one that is considered ([AUTH-4])."""
    found = [(CredentialKind.HEADER, _bearer_headers(headers))]
    if handshake:
        found += [
            (CredentialKind.SUBPROTOCOL, _bearer_subprotocols(headers)),
            (CredentialKind.TICKET, query.getlist("ticket")),
        ]
    if cookie is not None:
        found.append((CredentialKind.COOKIE, _cookies(headers, cookie)))
    for kind, tokens in found:
        if tokens:
            return Presented(kind, tokens[0] if len(tokens) == 1 else "")
    return None


def has_url_token(query: QueryParams) -> bool:
    """Whether a token other than a ticket stands in the URL ([AUTH-10])."""
    return any(name.lower() in URL_TOKENS for name in query)


def _bearer_headers(headers: Headers) -> list[str]:
    fields = (value.strip().partition(" ") for value in headers.getlist("authorization"))
    return [token.strip() for scheme, _, token in fields if scheme.lower() == "bearer"]


def _bearer_subprotocols(headers: Headers) -> list[str]:
    offers = _parts(headers.getlist("sec-websocket-protocol"), ",")
    return [_decoded(offer.removeprefix("bearer.")) for offer in offers if offer.startswith("bearer.")]


def _cookies(headers: Headers, name: str) -> list[str]:
    pairs = (part.partition("=") for part in _parts(headers.getlist("cookie"), ";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _parts(values: Iterable[str], separator: str) -> list[str]:
    return [part.strip() for value in values for part in value.split(separator)]


def _decoded(text: str) -> str:
    """Return the token of a base64url text without padding ([AUTH-6]); empty when malformed."""
    if not _BASE64URL.fullmatch(text):
        return ""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
