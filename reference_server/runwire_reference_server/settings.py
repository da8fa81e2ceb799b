"""What an operator can set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from runwire_reference_server.registry import FEATURES, LIMITS

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
LOOPBACK_ADDRESSES = frozenset({"localhost", "127.0.0.1", "::1"})


class SettingError(ValueError):
    """A setting is out of its bounds; the message names it and the remedy."""


def checked_limits(values: Mapping[str, float]) -> Mapping[str, float]:
    """Return all limits, defaults filled in; raises SettingError for one that is unknown or out of bounds."""
    limits: dict[str, float] = {}
    for name, rule in LIMITS.items():
        value = values.get(name, rule.default)
        if value < rule.minimum or (rule.maximum is not None and value > rule.maximum):
            upper = "" if rule.maximum is None else f" and at most {rule.maximum:g}"
            raise SettingError(f"{name} must be at least {rule.minimum:g}{upper}, not {value:g}")
        limits[name] = int(value) if rule.whole or value == int(value) else value
    for name in values:
        if name not in LIMITS:
            raise SettingError(f"no limit is called {name}; there are: {', '.join(LIMITS)}")
    return MappingProxyType(limits)


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's configuration.

    `limits` maps every registered limit to its value; `features` is a subset of what the server can serve;
    `session_s` is how long a session is remembered after its last run. `allowed_origins` and `allowed_hosts`
    are added to the server's own ([ORIGIN-1], [ORIGIN-4]).
    """

    host: str = "127.0.0.1"
    port: int = 8080
    limits: Mapping[str, float] = field(default_factory=lambda: checked_limits({}))
    features: tuple[str, ...] = FEATURES
    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    script_agent: bool = False
    session_s: float = 3600.0
    websocket_path: str = "/ws/generate"
    runs_path: str = "/v1/runs"
    discovery_path: str = "/.well-known/runwire"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK_ADDRESSES

    def serves(self, feature: str) -> bool:
        """Whether `feature` is on."""
        return feature in self.features

    def seconds(self, limit: str) -> float:
        """Return a limit in seconds, whichever unit its name ends in."""
        value = float(self.limits[limit])
        return value / 1000 if limit.endswith("_ms") else value

    def number(self, limit: str) -> int:
        """Return a limit that is a whole number."""
        return int(self.limits[limit])
