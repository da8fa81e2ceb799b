"""Static bearer tokens, and bounds of the access settings (chapter 11)."""

import re

#: The characters of a bearer token (RFC 6750, section 2.1).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

#: A static token must not be guessable.
MIN_TOKEN_LENGTH = 16

#: Bytes of a secret for HS256 (RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32

SYMMETRIC = frozenset({"HS256"})
ASYMMETRIC = frozenset({"RS256", "ES256"})
ALGORITHMS = tuple(sorted(SYMMETRIC | ASYMMETRIC))

#: The largest leeway in seconds ([AUTH-17]).
MAX_LEEWAY_S = 60.0


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
            raise ValueError(f"line {number}: this token is already assigned")
        tokens[token] = principal
    if not tokens:
        raise ValueError("it contains no token")
    return tokens
