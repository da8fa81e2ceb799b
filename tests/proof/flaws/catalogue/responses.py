"""Flaws of what every HTTP response has to carry: the responses that nobody looks at."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from tests.proof.flaws.flaw import answers
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.rewrite import Rewrite

from .http import below_runs

#: The statuses of requests that are refused by their head or size alone.
BY_THE_HEAD = frozenset({405, 406, 413, 415})


@answers("HTTP-21", clause="every response: of a method that is not served")
def refused_methods_do_not_vary(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Responses to PUT, DELETE and OPTIONS have no Vary."""
    return response.without_header("vary") if request.method in {"PUT", "DELETE", "OPTIONS"} else response


@answers("HTTP-21", clause="every response: of HEAD")
def heads_do_not_vary(flaw: Rewrite, request: Request, response: Response) -> Response:
    """Responses to HEAD have no Vary."""
    return response.without_header("vary") if request.method == "HEAD" else response


@answers("HTTP-13", clause="every response: refused by the head")
def early_refusals_may_be_stored(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A request that is refused by its head or size may be stored once it was asked after."""
    early = response.status in BY_THE_HEAD and below_runs(request)
    return response.with_header("cache-control", "no-cache") if early else response


@answers("HTTP-17", clause="every answer: refused by the head")
def early_refusals_hidden_from_pages(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A page may not read why its request was refused by its head or size."""
    early = response.status in BY_THE_HEAD
    return response.without_header("access-control-allow-origin") if early else response


@answers("LIMIT-10", clause="of a stream", limits={"connections_per_principal": 8})
def busy_streams_without_retry_after(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A stream for which there is no place is refused without Retry-After."""
    asked = "event-stream" in (request.headers.get("accept") or "")
    return response.without_header("retry-after") if asked and response.status == 429 else response


@answers("LIMIT-10", clause="of a run")
def busy_runs_without_retry_after(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A run for which there is no place is refused over HTTP without Retry-After."""
    asked = "event-stream" in (request.headers.get("accept") or "") or request.is_upgrade
    return response.without_header("retry-after") if not asked and response.status == 429 else response
