"""What comes of an attempt to follow a run over one connection."""

from dataclasses import dataclass

from runwire_client.problem import RunwireError


class Blocked(RunwireError):
    """No WebSocket could be had; a fallback may be."""


@dataclass(frozen=True, slots=True)
class Next:
    """How to go on after an attempt: at once if there was progress, and not before `least_s` seconds."""

    why: str = ""
    at_once: bool = False
    least_s: float = 0.0
    offline: bool = False
