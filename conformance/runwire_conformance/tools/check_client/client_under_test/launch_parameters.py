"""Scenario parameters for the client: placeholders of its command, and environment variables."""

from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class LaunchParameters:
    """What a client needs to know to take part in one scenario. Each is a placeholder, and a variable `RUNWIRE_…`."""

    #: The server's origin; the discovery document lies at its usual path.
    url: str
    #: The WebSocket endpoint, for a client that knows no discovery.
    websocket: str
    #: The `runs` endpoint, for a client that knows no discovery.
    runs: str
    prompt: str
    #: `websocket`, `sse`, or `auto` where the client is to find out.
    transport: str
    #: A bearer token, or nothing; and where a new one is to be had: `GET` answers {"token": "…"}.
    token: str = ""
    token_url: str = ""
    #: What its user does: `cancel` when the first text came, or nothing.
    act: str = ""
    #: A run that somebody else began, and the cursor to go on from (an epoch, a dot and a `seq`), or nothing.
    run: str = ""
    cursor: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables for the client."""
        return {f"RUNWIRE_{name.upper()}": value for name, value in self.values.items()}

    @property
    def values(self) -> dict[str, str]:
        """What each placeholder stands for."""
        return {one.name: str(getattr(self, one.name)) for one in fields(self)}

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command with its placeholders filled in."""
        filled = []
        for word in words:
            for name, value in self.values.items():
                word = word.replace(f"{{{name}}}", value)
            filled.append(word)
        return filled


#: The placeholders there are.
PLACEHOLDERS = tuple(one.name for one in fields(LaunchParameters))
