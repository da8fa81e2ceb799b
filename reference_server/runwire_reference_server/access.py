"""What an operator can set about who gets in (chapter 11)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runwire_reference_server.addresses import Network

#: The characters of a bearer token (RFC 6750, section 2.1).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

#: A static token must not be guessable.
MIN_TOKEN_LENGTH = 16

#: Bytes of a secret for HS256 (RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32

SYMMETRIC = frozenset({"HS256"})
ASYMMETRIC = frozenset({"RS256", "ES256"})
ALGORITHMS = tuple(sorted(SYMMETRIC | ASYMMETRIC))

#: The largest leeway in seconds ([AUTH-17]) and the longest life of a ticket in seconds ([TICKET-3]).
MAX_LEEWAY_S = 60.0
MAX_TICKET_S = 30.0


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """How JSON Web Tokens are checked.

    `secret` is the key of HS256, `keys` the file or URL of a JSON Web Key Set for the others. A token must name one
    of `audiences` and `issuers` where there are some, and carry `scope` if that is set, or its principal is forbidden.
    """

    secret: bytes | None = field(default=None, repr=False)
    keys: str | None = None
    algorithms: frozenset[str] = frozenset()
    audiences: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    scope: str | None = None
    leeway_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Access:
    """Who gets in. Without tokens and `jwt` everyone does, and all callers are one principal.

    `tokens` maps static bearer tokens to names of principals; `cookie` names a cookie that holds a token;
    `ticket_s` is the life of a ticket in seconds.
    """

    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    jwt: JwtSettings | None = None
    cookie: str | None = None
    ticket_s: float = MAX_TICKET_S
    allowed_addresses: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def authenticates(self) -> bool:
        """Whether callers are told apart by credentials."""
        return bool(self.tokens) or self.jwt is not None


def read_tokens(text: str) -> dict[str, str]:
    """Return the principals by token from lines `PRINCIPAL TOKEN`; raises ValueError naming the line."""
    tokens: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise ValueError(f"line {number} must be PRINCIPAL TOKEN")
        principal, token = words
        if not TOKEN.fullmatch(token) or len(token) < MIN_TOKEN_LENGTH:
            raise ValueError(
                f"line {number}: a token has at least {MIN_TOKEN_LENGTH} of the characters A-Z a-z 0-9 . _ ~ + / -"
            )
        if token in tokens:
            raise ValueError(f"line {number}: this token was given out before")
        tokens[token] = principal
    if not tokens:
        raise ValueError("there is no token in it")
    return tokens
