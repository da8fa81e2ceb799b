"""Early connection test: reports a wrong port before anything heavy is imported."""

import re
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

#: Options that make it too early to knock, or needless.
SKIP_OPTIONS = ("--help", "--wait")

#: Seconds for a knock; who takes longer may only be slow, and is asked again by the judge.
CONNECT_S = 2.0

_URL = re.compile(r"(https?|wss?)://", re.IGNORECASE)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def connection_refused(arguments: Sequence[str]) -> str | None:
    """Return the line that says that nobody listens at the URL of a call, or None when that is not certain."""
    urls = [argument for argument in arguments if _URL.match(argument)]
    if len(urls) != 1 or any(argument.startswith(SKIP_OPTIONS) for argument in arguments):
        return None
    try:
        parts = urlsplit(urls[0])
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except ConnectionRefusedError as problem:
        return f"cannot connect to {host} port {port}: {problem.strerror}; is the server running there?"
    except (OSError, ValueError):
        return None  # the judge knows more to say of it
    return None
