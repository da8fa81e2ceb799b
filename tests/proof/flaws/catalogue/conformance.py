"""Flaws of chapter 17: what a server claims."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from tests.proof.flaws.flaw import Describes, answers, flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.rewrite import Message, Rewrite

from .connection import problem
from .http import below_runs


@flaw("CONF-1", features=("resume", "sse"))
class InputListedAndNotServed(Describes):
    """The feature input is listed and not served."""

    def described(self, description: Message) -> Message:
        return {**description, "features": [*description["features"], "input"]}


@answers("CONF-1")
def streams_listed_and_not_served(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The feature sse is listed, and the runs endpoint does not exist."""
    return problem(404, "not_found") if below_runs(request) else response


@flaw("CONF-1", features=("resume",))
class MetricsListedAndNotServed(Describes):
    """The feature metrics is listed and not served."""

    def described(self, description: Message) -> Message:
        return {**description, "features": [*description["features"], "metrics"]}


@flaw("CONF-3")
class StreamsWithoutResume(Describes):
    """The feature sse is listed without resume."""

    def described(self, description: Message) -> Message:
        return {**description, "features": [name for name in description["features"] if name != "resume"]}


@flaw("CONF-3")
class TicketsWithoutAuth(Describes):
    """The feature tickets is listed without auth."""

    def described(self, description: Message) -> Message:
        described = {**description, "features": [*description["features"], "tickets"]}
        if "endpoints" in described:
            described["endpoints"] = {**described["endpoints"], "tickets": "/v1/tickets"}
        return described
