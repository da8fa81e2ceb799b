"""Refusals as HTTP responses: RFC 9457 problem details with Runwire's codes ([HTTP-12])."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil

from starlette.responses import JSONResponse

from runwire_reference_server.access.credentials import Unauthorized
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.registry import ERRORS


def problem(
    refusal: Refusal, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for `refusal`, with `status` where the registry has none for the case."""
    code = ERRORS[refusal.code]
    status = status or code.status or 500
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(refusal),
        "code": refusal.code,
        "retryable": code.retryable,
    }
    extra = dict(headers or {}) | {"Cache-Control": "no-store"}
    if status in {429, 503}:
        after = refusal.retry_after_s or 1
        body["retry_after_ms"] = round(after * 1000)
        extra["Retry-After"] = str(ceil(after))  # [LIMIT-10]
    if isinstance(refusal, Unauthorized):
        extra["WWW-Authenticate"] = refusal.challenge  # [AUTH-1]
    return JSONResponse(body, status, extra, "application/problem+json")
