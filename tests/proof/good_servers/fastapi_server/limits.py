"""What this server states about itself: its limits, its features, and the codes of its errors."""

from __future__ import annotations

from dataclasses import dataclass, fields

FEATURES = ("robust", "resume", "sse")

#: HTTP status and `retryable` of each registered code; codes of terminals have no status.
ERRORS: dict[str, tuple[int | None, bool]] = {
    "bad_request": (400, False),
    "unauthorized": (401, False),
    "forbidden": (403, False),
    "not_found": (404, False),
    "conflict": (409, False),
    "input_expired": (410, False),
    "payload_too_large": (413, False),
    "unsupported": (415, False),
    "busy": (429, True),
    "rate_limited": (429, True),
    "internal": (500, True),
    "unavailable": (503, True),
    "timeout": (None, True),
    "content_filtered": (None, False),
    "agent_error": (None, False),
    "upstream_error": (None, True),
    "worker_lost": (None, True),
}

#: Codes that may end a run.
TERMINAL = {code for code, (status, _) in ERRORS.items() if status is None} | {
    "payload_too_large",
    "internal",
}

#: Codes whose `retryable` a server may know better.
OVERRIDABLE = {"internal", "timeout", "content_filtered", "agent_error", "upstream_error"}


@dataclass(frozen=True)
class Limits:
    """Every limit of the registry; names that end in `_s` are seconds, in `_ms` milliseconds."""

    max_message_bytes: int = 1_048_576
    max_event_bytes: int = 262_144
    json_depth: int = 32
    connections_per_principal: int = 10
    runs_per_connection: int = 4
    runs_per_principal: int = 100
    idle_s: float = 3600
    run_s: float = 600
    input_s: float = 600
    heartbeat_s: float = 15
    pong_timeout_s: float = 20
    detach_grace_s: float = 30
    resume_window_s: float = 300
    cancel_quiet_ms: float = 500
    cancel_deadline_ms: float = 2000
    send_buffer_bytes: int = 1_048_576
    log_bytes: int = 16_777_216
    kept_bytes_per_principal: int = 268_435_456
    worker_lost_s: float = 30
    drain_s: float = 30


LIMIT_NAMES = [field.name for field in fields(Limits)]


class Refusal(Exception):
    """A message or request that has no effect, with the code and the text that say why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
