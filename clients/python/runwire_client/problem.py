"""What goes wrong, and how long a server asks to be left alone."""

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

#: The longest time that a client lets itself be sent away for, in seconds.
MOST_RETRY_AFTER_S = 24 * 3600.0

_CODES = {401: "unauthorized", 403: "forbidden"}


class RunwireError(Exception):
    """What went wrong, as the server said it.

    `code` is one of the registry of errors (chapter 18), or `cancelled` for a run that was stopped before it began.
    `retryable` tells whether a new attempt may help ([ERR-6]), `retry_after_s` when, `status` is that of HTTP, or 0.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "internal",
        retryable: bool = False,
        retry_after_s: float = 0.0,
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.status = status


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object that a text holds, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def refusal_of(message: Mapping[str, Any]) -> RunwireError:
    """Return what an `error` without `seq` says: the refusal of a message."""
    return RunwireError(
        str(message.get("data")),
        code=str(message.get("code", "internal")),
        retryable=message.get("retryable") is True,
        retry_after_s=_seconds_of_ms(message.get("retry_after_ms")),
    )


def problem_of(status: int, retry_after: str, body: bytes, *, is_here: bool = True) -> RunwireError:
    """Return what an answer that is no 2xx says.

    One that is no problem document was written by something on the way, which a new attempt can mend; from where no
    Runwire server was seen yet (`is_here`) only if its status says so.
    """
    said = json_object(body) or {}
    wait = max(_seconds_of_ms(said.get("retry_after_ms")), _retry_after(retry_after))
    if isinstance(code := said.get("code"), str):
        text = str(said.get("detail") or said.get("title") or f"status {status}")
        return RunwireError(
            text, code=code, retryable=said.get("retryable") is True, retry_after_s=wait, status=status
        )
    code = _CODES.get(status, "internal")
    retryable = code == "internal" and (status >= 500 or status == 429 or is_here)
    return RunwireError(f"status {status}", code=code, retryable=retryable, retry_after_s=wait, status=status)


def _seconds_of_ms(value: object) -> float:
    return _bounded(value / 1000) if isinstance(value, int | float) else 0.0


def _retry_after(text: str) -> float:
    """Return the seconds that a header `Retry-After` names, as a number or as a date (RFC 9110 section 10.2.3)."""
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return _bounded(float(text[:12]))
    try:
        return _bounded(parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _bounded(seconds: float) -> float:
    return min(seconds, MOST_RETRY_AFTER_S) if seconds > 0 else 0.0
