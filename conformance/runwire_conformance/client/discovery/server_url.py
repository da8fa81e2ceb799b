"""Server URL syntax: a full URL, or host and port for HTTP."""

import re

_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/\S*)?")
_URL = re.compile(r"(?:https?|wss?)://", re.IGNORECASE)


def server_url(said: str) -> str:
    """Return what was said, with `http://` in front when it is a host and a port, such as `localhost:8080`."""
    return f"http://{said}" if _HOST_AND_PORT.fullmatch(said) else said


def names_server(said: str) -> bool:
    """Whether a word of a call names a server, and is no prompt."""
    return bool(_URL.match(said) or _HOST_AND_PORT.fullmatch(said))
