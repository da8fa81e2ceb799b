"""Rules for every HTTP response, independent of status and case."""

from collections.abc import Iterator

from runwire_conformance.rules.finding import Finding, RuleContext
from runwire_conformance.rules.registry import ConversationRule, Rules
from runwire_conformance.trace.http_request import HttpRequest
from runwire_conformance.trace.trace import MOST_HEADER, Record, Trace

RULES = Rules[ConversationRule]()
rule = RULES.rule

PROBLEM = "application/problem+json"

#: The headers that a page of a listed origin may read ([HTTP-17]).
EXPOSED = frozenset({"location", "retry-after", "www-authenticate"})

#: The endpoints whose responses nobody stores ([HTTP-13]).
UNSTORED = frozenset({"runs", "tickets"})


@rule("HTTP-13")
def responses_are_not_stored(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """A response of `{runs}`, `{tickets}` or a path below them has `Cache-Control: no-store`, but to `OPTIONS`."""
    for place, asked, answer in _answers(trace):
        if (
            asked.method != "OPTIONS"
            and asked.endpoint in UNSTORED
            and "no-store" not in _listed(answer, "cache-control")
        ):
            came = _came(answer, "cache-control")
            yield Finding("HTTP-13", f"expected `Cache-Control: no-store` on every response; {came}", place)


@rule("HTTP-21")
def responses_vary_by_origin(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """A response of the discovery URL or of an endpoint has `Vary: Origin`."""
    for place, asked, answer in _answers(trace):
        if asked.endpoint is not None and not _listed(answer, "vary") & {"origin", "*"}:
            yield Finding(
                "HTTP-21", f"expected `Vary: Origin` on every response; {_came(answer, 'vary')}", place
            )


@rule("HTTP-17")
def a_listed_page_may_read_it(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """A response to a page of a listed origin names this origin, and exposes what the page has to know."""
    for place, asked, answer in _answers(trace):
        if not asked.origin or asked.endpoint is None or answer.code == 403:  # 403: not listed after all
            continue
        allowed = answer.header("access-control-allow-origin")
        if allowed != asked.origin:
            came = _came(answer, "access-control-allow-origin")
            wanted = f"expected `Access-Control-Allow-Origin: {asked.origin}` on every response to its pages"
            yield Finding("HTTP-17", f"{wanted}; {came}", place)
        elif asked.method != "OPTIONS" and (
            missing := EXPOSED - _listed(answer, "access-control-expose-headers")
        ):
            said = f"expected {', '.join(sorted(missing))} among the exposed headers"
            came = _came(answer, "access-control-expose-headers")
            yield Finding("HTTP-17", f"{said}; {came}", place)


@rule("LIMIT-10")
def refusals_say_when_to_try_again(trace: Trace, _context: RuleContext) -> Iterator[Finding]:
    """A 429 or 503 of the server has `Retry-After`, whatever was asked for."""
    for place, record in enumerate(trace.records):
        refused = record.kind == "response" and record.code in {429, 503} and _is_problem(record)
        if trace.request is not None and refused and not record.header("retry-after"):
            yield Finding("LIMIT-10", f"expected `Retry-After`; {_came(record, 'retry-after')}", place)


def _answers(trace: Trace) -> Iterator[tuple[int, HttpRequest, Record]]:
    """Yield the responses that are the server's own for certain, each with its place and what was asked.

    One that is refused without a problem document may be that of a proxy, or breaks [HTTP-12].
    """
    if trace.request is None or trace.transport == "websocket":
        return
    for place, record in enumerate(trace.records):
        if (
            record.kind != "response"
            or record.code is None
            or any(_is_cut(value) for _, value in record.headers)
        ):
            continue
        if record.code < 400 or _is_problem(record) or (trace.request.method == "HEAD" and record.code < 500):
            yield place, trace.request, record


def _is_cut(value: str) -> bool:
    return len(value) >= MOST_HEADER


def _is_problem(record: Record) -> bool:
    return record.media_type == PROBLEM


def _listed(record: Record, name: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in record.header(name).split(","))


def _came(record: Record, name: str) -> str:
    said = record.header(name)
    return f"got {record.code} with `{name}: {said}`" if said else f"got {record.code} with no `{name}`"
