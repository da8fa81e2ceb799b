"""Bearer token verification: static tokens and JSON Web Tokens."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from runwire_reference_server.access.credentials import Credential, Unauthorized
from runwire_reference_server.access.jwt_keys import KeySet
from runwire_reference_server.access.jwt_tokens import JwtVerifier
from runwire_reference_server.access.static_tokens import TOKEN
from runwire_reference_server.run_log.runs import Principal
from runwire_reference_server.service.settings import Access

#: The issuer of principals that a list of static tokens names.
STATIC_ISSUER = "urn:runwire:tokens"

#: Bytes of a token beyond which nothing looks at it.
MAX_TOKEN_BYTES = 8192


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Tells for whom a bearer token is good."""

    static: Mapping[bytes, str]
    jwt: JwtVerifier | None

    async def verify(self, token: str) -> Credential:
        """Return what `token` amounts to; raises Unauthorized, or Refusal while keys cannot be had."""
        if len(token) > MAX_TOKEN_BYTES or not TOKEN.fullmatch(token):
            raise Unauthorized("malformed")
        digest = _digest(token)
        # All are compared, each in constant time, so that the time tells nothing about any.
        names = [name for known, name in self.static.items() if hmac.compare_digest(known, digest)]
        if names:
            return Credential(Principal(STATIC_ISSUER, names[0]))
        if self.jwt is None:
            raise Unauthorized("unknown")
        return await self.jwt.verify(token)


def token_verifier(access: Access) -> TokenVerifier:
    """Return the verifier of the tokens that `access` knows; a file of keys is read when it is first needed."""
    jwt = None
    if access.jwt is not None:
        keys = KeySet(access.jwt.keys) if access.jwt.keys is not None else None
        jwt = JwtVerifier(access.jwt, keys)
    return TokenVerifier({_digest(token): name for token, name in access.tokens.items()}, jwt)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
