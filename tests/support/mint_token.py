"""Prints a JSON Web Token for the server of `make check`.

`mint_token.py SUBJECT SECONDS [SCOPE]`, or `mint_token.py --claims`, which reads claims as JSON from standard input and
prints a token that is good for a minute but for these; null leaves a claim out.
"""

import json
import os
import secrets
import sys
import time
from typing import Any

import jwt

#: What the server of `make check` is told to expect in tokens.
AUDIENCE, SCOPE = "runwire-check", "runwire"


def mint(secret: str, subject: str, seconds: float, scope: str = SCOPE, **claims: Any) -> str:
    """Return a token for `subject` that is good for `seconds`, rounded down, and forbidden without SCOPE."""
    usual = {
        "iss": "check",
        "sub": subject,
        "aud": AUDIENCE,
        "exp": int(time.time() + seconds),
        "jti": secrets.token_hex(8),
        "scope": scope,
    }
    wanted = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(wanted, secret, "HS256")


if __name__ == "__main__":
    key = os.environ["RUNWIRE_JWT_SECRET"]
    if sys.argv[1:] == ["--claims"]:
        print(mint(key, "carol", 60, **json.load(sys.stdin)))
    else:
        print(mint(key, sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
