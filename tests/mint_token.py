"""Prints a JSON Web Token for the server of `make check`: `mint_token.py SUBJECT SECONDS [SCOPE]`."""

import os
import sys
import time

import jwt

#: What the server of `make check` is told to expect in tokens.
AUDIENCE, SCOPE = "runwire-check", "runwire"


def mint(secret: str, subject: str, seconds: float, scope: str = SCOPE) -> str:
    """Return a token for `subject` that is good for `seconds`, rounded down, and forbidden without SCOPE."""
    claims = {
        "iss": "check",
        "sub": subject,
        "aud": AUDIENCE,
        "exp": int(time.time() + seconds),
        "scope": scope,
    }
    return jwt.encode(claims, secret, "HS256")


if __name__ == "__main__":
    print(mint(os.environ["RUNWIRE_JWT_SECRET"], sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
