"""JSON Web Token verification (RFC 7519), following RFC 8725."""

import logging
from typing import Any

import jwt

from runwire_reference_server.access.credentials import Credential, Unauthorized
from runwire_reference_server.access.jwt_keys import KeySet
from runwire_reference_server.access.static_tokens import SYMMETRIC
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import Principal
from runwire_reference_server.service.settings import JwtSettings

log = logging.getLogger(__name__)

#: What PyJWT finds wrong, and the reason it amounts to; everything else is "unknown".
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "early"),
    (jwt.InvalidAudienceError, "audience"),
)


#: The last moment, in seconds since the epoch, that is told from later ones.
MAX_TIME_S = 2.0**53


class JwtVerifier:
    """Tells for whom a JSON Web Token is good."""

    def __init__(self, settings: JwtSettings, keys: KeySet | None) -> None:
        self._settings = settings
        self._keys = keys

    async def verify(self, token: str) -> Credential:
        """Return what `token` amounts to; raises Unauthorized, or Refusal while keys cannot be had."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized("malformed") from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._settings.algorithms:
            raise Unauthorized("unknown")  # [AUTH-16]
        # [AUTH-18] `kid` picks among our own keys; nothing else of the header leads to a key.
        claims = self._claims(token, algorithm, await self._key(algorithm, header.get("kid")))
        scope = self._settings.scope
        if scope is not None and scope not in _scopes(claims):
            raise Refusal("forbidden", "this principal may not use the server")  # [AUTH-2]
        expires_at = min(claims["exp"], MAX_TIME_S) + self._settings.leeway_s
        return Credential(_principal(claims), expires_at)

    async def _key(self, algorithm: str, kid: str | None) -> Any:
        """Return the key for an algorithm; each kind of algorithm has keys of its own, so none can be swapped."""
        if algorithm in SYMMETRIC:
            return self._settings.secret
        assert self._keys is not None
        return await self._keys.find(kid, algorithm)

    def _claims(self, token: str, algorithm: str, key: Any) -> dict[str, Any]:
        settings = self._settings
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.audiences or None,
                issuer=settings.issuers or None,
                leeway=settings.leeway_s,
                options={"require": ["exp", "sub"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as problem:
            reason = next((reason for kind, reason in _REASONS if isinstance(problem, kind)), "unknown")
            raise Unauthorized(reason) from None
        numbers = [claims[name] for name in ("exp", "nbf", "iat") if name in claims]
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
            raise Unauthorized("malformed")  # RFC 7519, section 2: NumericDate
        return claims


def _principal(claims: dict[str, Any]) -> Principal:
    """Return issuer and subject of a token, a subject being there ([AUTH-12])."""
    issuer, subject = claims.get("iss", ""), claims["sub"]
    try:
        if isinstance(issuer, str) and (issuer + subject).encode():
            return Principal(issuer, subject)
    except UnicodeEncodeError:
        pass  # half a surrogate pair is nobody's name
    raise Unauthorized("malformed")


def _scopes(claims: dict[str, Any]) -> list[str]:
    """Return the scopes of a token (RFC 8693, section 4.2; some issuers write `scp`)."""
    given = claims.get("scope", claims.get("scp", ""))
    return [str(item) for item in given] if isinstance(given, list) else str(given).split()
