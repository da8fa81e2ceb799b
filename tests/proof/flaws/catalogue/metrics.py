"""Flaws of chapter 15: metrics."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tests.proof.flaws.callers import token_of
from tests.proof.flaws.flaw import answers, flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite


def is_metrics(request: Request) -> bool:
    """Tell whether a request asks for the metrics."""
    return request.path == "/metrics"


def with_metrics(response: Response, change: Callable[[str], str]) -> Response:
    """Return the metrics with their text changed."""
    return response.with_body(change((response.body or b"").decode()).encode())


def _changes_metrics(name: str, requirement: str, change: Callable[[str], str], doc: str) -> None:
    def response(flaw: Rewrite, request: Request, response: Response) -> Response:
        return with_metrics(response, change) if is_metrics(request) else response

    response.__name__, response.__doc__ = name, doc
    answers(requirement)(response)


def _without(metric: str) -> Callable[[str], str]:
    return lambda text: "".join(line for line in text.splitlines(True) if metric not in line)


_changes_metrics("a_metric_is_missing", "OBS-6", _without("runwire_resumes"), "One metric is missing.")
_changes_metrics(
    "a_histogram_is_missing", "OBS-6", _without("runwire_cancel_seconds"), "One histogram is missing."
)
_changes_metrics(
    "counters_are_gauges",
    "OBS-6",
    lambda text: text.replace("runwire_events_total counter", "runwire_events_total gauge"),
    "A counter says that it is a gauge.",
)
_changes_metrics(
    "types_are_not_told",
    "OBS-6",
    lambda text: "".join(line for line in text.splitlines(True) if not line.startswith("# TYPE")),
    "The metrics do not tell their types.",
)
_changes_metrics(
    "statuses_are_called_state",
    "OBS-6",
    lambda text: text.replace("{status=", "{state="),
    "A label has another name than the registry's.",
)
_changes_metrics(
    "buckets_do_not_add_up",
    "OBS-6",
    lambda text: re.sub(r'(first_event_seconds_bucket\{le="\+Inf"\}) \S+', r"\1 0.0", text),
    "The last bucket of a histogram holds less than the one before.",
)
_changes_metrics(
    "tabs_stand_for_spaces", "OBS-6", lambda text: text.replace(" ", "\t", 40), "Tabs stand for blanks."
)
_changes_metrics(
    "open_connections_are_not_counted",
    "OBS-6",
    lambda text: re.sub(r"(?m)^(runwire_connections\{.*\}) .*", r"\1 0.0", text),
    "Open connections are not counted.",
)
_changes_metrics(
    "unfinished_runs_are_not_counted",
    "OBS-6",
    lambda text: re.sub(r"(?m)^runwire_runs_active .*", "runwire_runs_active 0.0", text),
    "Unfinished runs are not counted.",
)


@answers("OBS-6")
def metrics_are_json(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The metrics come as JSON, by their media type."""
    return response.with_header("content-type", "application/json") if is_metrics(request) else response


@answers("OBS-6")
def no_metrics(flaw: Rewrite, request: Request, response: Response) -> Response:
    """There is nothing at /metrics."""
    return response.with_status(404) if is_metrics(request) else response


def _frozen(status: str) -> Callable[[str], str]:
    line = rf'(?m)^(runwire_runs_total\{{status="{status}"\}}) .*'
    return lambda text: re.sub(line, r"\1 0.0", text)


_changes_metrics("failures_are_not_counted", "OBS-7", _frozen("failed"), "Runs that failed are not counted.")
_changes_metrics(
    "cancelled_runs_are_not_counted",
    "OBS-7",
    _frozen("cancelled"),
    "Runs that were cancelled are not counted.",
)
_changes_metrics(
    "cut_runs_are_not_counted", "OBS-7", _frozen("incomplete"), "Runs that were cut are not counted."
)
_changes_metrics(
    "half_the_runs_are_counted",
    "OBS-7",
    lambda text: re.sub(
        r'(?m)^(runwire_runs_total\{status="completed"\}) (\S+)', lambda m: f"{m[1]} {float(m[2]) // 2}", text
    ),
    "Every second completed run is not counted.",
)


class Labelled(Rewrite):
    """Puts what it saw of the last caller into a label."""

    def __init__(self) -> None:
        super().__init__()
        self.label_values: list[str] = []

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        self.label_values += [value for value in map(str, self.of(message)) if value.isprintable()]
        yield message

    def of(self, message: Message) -> Iterable[object]:
        """Return what of a client's message becomes a label."""
        return ()

    def response(self, request: Request, response: Response) -> Response:
        if not is_metrics(request):
            return response
        labels = [text.replace("\\", "\\\\").replace('"', '\\"') for text in dict.fromkeys(self.label_values)]
        lines = [f'runwire_vendor_total{{of="{label}"}} 1.0\n' for label in labels]
        return with_metrics(response, lambda text: text + "".join(lines))


@flaw("OBS-8")
class RunIdsAreLabels(Labelled):
    """A metric has a label run_id."""

    def of(self, message: Message) -> Iterable[object]:
        return [message[name] for name in ("run_id",) if name in message]


@flaw("OBS-8")
class SessionIdsAreLabels(Labelled):
    """A metric has a label session_id."""

    def of(self, message: Message) -> Iterable[object]:
        return [message[name] for name in ("session_id",) if name in message]


@flaw("OBS-8")
class PromptsAreLabels(Labelled):
    """A metric has the prompt in a label."""

    def of(self, message: Message) -> Iterable[object]:
        return [message[name] for name in ("prompt",) if name in message]


@flaw("OBS-8", auth=True)
class TokensAreLabels(Labelled):
    """A metric has the token of the caller in a label."""

    def request(self, request: Request) -> Request | Response:
        self.label_values += [token_of(request)] if token_of(request) else []
        return request


@flaw("OBS-8", auth=True)
class WrongTokensAreLabels(Labelled):
    """A metric tells which token was refused."""

    def request(self, request: Request) -> Request | Response:
        self.label_values += [token_of(request)] if token_of(request).startswith("wrong-") else []
        return request
