"""Operator settings."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from types import MappingProxyType

from runwire_reference_server.run_log.registry import CREDENTIAL_FEATURES, FEATURES, LIMITS

#: The longest life of a ticket in seconds ([TICKET-3]).
MAX_TICKET_S = 30.0


class SettingError(ValueError):
    """A setting is out of its bounds; the message names it and the remedy."""


@lru_cache(maxsize=16)
def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and nobody else."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def checked_limits(values: Mapping[str, float]) -> Mapping[str, float]:
    """Return all limits, defaults filled in; raises SettingError for one that is unknown or out of bounds."""
    limits: dict[str, float] = {}
    for name, rule in LIMITS.items():
        value = values.get(name, rule.default)
        if value < rule.minimum or (rule.maximum is not None and value > rule.maximum):
            upper = "" if rule.maximum is None else f" and at most {rule.maximum:.15g}"
            raise SettingError(f"{name} must be at least {rule.minimum:.15g}{upper}, not {value:.15g}")
        limits[name] = int(value) if rule.whole or value == int(value) else value
    for name in values:
        if name not in LIMITS:
            raise SettingError(f"unknown limit {name}; the limits are: {', '.join(LIMITS)}")
    return MappingProxyType(limits)


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
    allowed_addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def authenticates(self) -> bool:
        """Whether callers are told apart by credentials."""
        return bool(self.tokens) or self.jwt is not None


def offered_features(
    access: Access, off: Collection[str] = (), *, many_nodes: bool = False
) -> tuple[str, ...]:
    """Return what a server serves, given how callers are told apart and what is switched off ([CONF-3])."""
    off = {*off, *({"sse"} if "resume" in off else set())}
    off |= {"poll"} if "sse" in off else set()
    off |= {"forms"} if "input" in off else set()
    names = FEATURES + (CREDENTIAL_FEATURES if access.authenticates else ())
    names += ("cluster",) if many_nodes and "resume" not in off else ()
    return tuple(name for name in names if name not in off)


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's configuration.

    `limits` maps every registered limit to its value; `features` is a subset of what the server can serve;
    `session_s` is how long a session is remembered after its last run, `kept_bytes` what is kept in memory for all
    principals when a run is started. `allowed_origins` and `allowed_hosts`
    are added to the server's own ([ORIGIN-1], [ORIGIN-4]). `certificate` holds the files of a certificate chain and
    its key; `behind_proxy` says that a proxy in front terminates TLS ([AUTH-15]). `root_path` is what a proxy leaves in
    front of every path, such as `/agents`. An idle HTTP connection waits for its next request for `keep_alive_s`.
    `ag_ui` opens an endpoint for clients of AG-UI.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    limits: Mapping[str, float] = field(default_factory=lambda: checked_limits({}))
    features: tuple[str, ...] = FEATURES
    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    script_agent: bool = False
    session_s: float = 3600.0
    kept_bytes: int = 1_073_741_824
    access: Access = field(default_factory=Access)
    certificate: tuple[str, str] | None = None
    behind_proxy: bool = False
    websocket_path: str = "/ws/generate"
    runs_path: str = "/v1/runs"
    tickets_path: str = "/v1/tickets"
    discovery_path: str = "/.well-known/runwire"
    root_path: str = ""
    playground: bool = True
    keep_alive_s: float = 5.0
    ag_ui: bool = False
    ag_ui_path: str = "/ag-ui"

    def __post_init__(self) -> None:
        """Refuse a server that would be open by mistake, or cannot be found; raises SettingError."""
        if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)*", self.root_path):
            raise SettingError(
                f"--root-path must be a path such as /agents, without a trailing slash, not {self.root_path!r}"
            )
        if ("auth" in self.features) != self.access.authenticates:
            raise SettingError("the feature auth and credentials require each other")
        if self.ag_ui and "sse" not in self.features:
            raise SettingError(
                "--ag-ui needs the feature sse, because runs are cancelled and streams resumed over HTTP"
            )
        if not 0 < self.keep_alive_s <= 3600:
            raise SettingError(f"--keep-alive-s must be above 0 and at most 3600, not {self.keep_alive_s:g}")
        if not (self.loopback or self.certificate or self.behind_proxy):
            raise SettingError(
                f"{self.host} is on a network, where the server would use unencrypted HTTP; use --tls-cert and "
                "--tls-key, or --behind-proxy if a proxy in front terminates TLS"
            )

    @property
    def auth_methods(self) -> list[str]:
        """The ways to authenticate, as discovery lists them (chapter 2)."""
        if not self.access.authenticates:
            return ["none"]
        ways = {"bearer": True, "ticket": self.serves("tickets"), "cookie": self.access.cookie is not None}
        return [way for way, there in ways.items() if there]

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

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
