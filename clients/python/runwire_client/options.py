"""What a user says about a run beside its prompt."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

#: A bearer token, or a function that gives one or an awaitable of one; it is called with the token that was refused,
#: None at first, and returns "" when there is none.
Token = str | Callable[[str | None], str | Awaitable[str]]

Transport = Literal["auto", "websocket", "sse"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run, as `Run` documents them."""

    discovery: str
    token: Token | None = None
    headers: tuple[tuple[str, str], ...] = ()
    tickets: bool = False
    transport: Transport = "auto"
    run_id: str | None = None
    session_id: str | None = None
    inputs: dict[str, Any] | None = None
    on_disconnect: Literal["grace", "cancel", "continue"] | None = None
    traceparent: str | None = None
    tls: ssl.SSLContext | None = None

    def start(self, prompt: str | None, run_id: str) -> dict[str, Any] | None:
        """Return the members of a `start`, an absent one left out ([MSG-21]); None for a viewer."""
        if prompt is None:
            return None
        members = {
            "prompt": prompt,
            "run_id": run_id,
            "session_id": self.session_id,
            "inputs": self.inputs,
            "on_disconnect": self.on_disconnect,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in members.items() if value is not None}
