"""Registered codes, limits and features (chapter 18)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """How a code is answered: HTTP status (None when it only ends runs) and whether trying again can help."""

    status: int | None
    retryable: bool
    ends_runs: bool = False
    overridable: bool = False
    """Whether a server can know better than `retryable` ([ERR-4])."""


ERRORS: Mapping[str, ErrorCode] = MappingProxyType(
    {
        "bad_request": ErrorCode(400, False),
        "unauthorized": ErrorCode(401, False),
        "forbidden": ErrorCode(403, False),
        "not_found": ErrorCode(404, False),
        "conflict": ErrorCode(409, False),
        "input_expired": ErrorCode(410, False),
        "payload_too_large": ErrorCode(413, False, ends_runs=True),
        "unsupported": ErrorCode(415, False),
        "busy": ErrorCode(429, True),
        "rate_limited": ErrorCode(429, True),
        "internal": ErrorCode(500, True, ends_runs=True, overridable=True),
        "unavailable": ErrorCode(503, True),
        "timeout": ErrorCode(None, True, ends_runs=True, overridable=True),
        "content_filtered": ErrorCode(None, False, ends_runs=True, overridable=True),
        "agent_error": ErrorCode(None, False, ends_runs=True, overridable=True),
        "upstream_error": ErrorCode(None, True, ends_runs=True, overridable=True),
        "worker_lost": ErrorCode(None, True, ends_runs=True),
    }
)


def may_end_a_run(code: str) -> bool:
    """Whether an `error` of this code may stand in a log: a registered one of that use, or a vendor's ([RUN-14])."""
    vendor, _, name = code.partition(":")
    return ERRORS[code].ends_runs if code in ERRORS else bool(vendor and name)


@dataclass(frozen=True, slots=True)
class LimitRule:
    """Default and bounds of a limit; `whole` limits are integers."""

    default: float
    minimum: float
    maximum: float | None = None
    whole: bool = False


LIMITS: Mapping[str, LimitRule] = MappingProxyType(
    {
        "max_message_bytes": LimitRule(1048576, 65536, whole=True),
        "max_event_bytes": LimitRule(262144, 1024, whole=True),
        "json_depth": LimitRule(32, 8, whole=True),
        "connections_per_principal": LimitRule(10, 1, whole=True),
        "runs_per_connection": LimitRule(4, 1, whole=True),
        "runs_per_principal": LimitRule(100, 1, whole=True),
        "idle_s": LimitRule(3600, 1),
        "run_s": LimitRule(600, 1),
        "input_s": LimitRule(600, 1),
        "heartbeat_s": LimitRule(15, 0.1, 25),
        "pong_timeout_s": LimitRule(20, 0.1),
        "detach_grace_s": LimitRule(30, 0.1),
        "resume_window_s": LimitRule(300, 60),
        "cancel_quiet_ms": LimitRule(500, 0, 5000),
        "cancel_deadline_ms": LimitRule(2000, 1, 5000),
        "send_buffer_bytes": LimitRule(1048576, 4096, whole=True),
        "log_bytes": LimitRule(16777216, 65536, whole=True),
        "kept_bytes_per_principal": LimitRule(268435456, 1048576, whole=True),
        "worker_lost_s": LimitRule(30, 0.1, 60),
        "drain_s": LimitRule(30, 0),
    }
)

#: Features that this server can serve.
FEATURES = ("robust", "resume", "sse", "poll", "input", "forms", "metrics")

#: Features that it serves beside them when callers have credentials.
CREDENTIAL_FEATURES = ("auth", "tickets")
