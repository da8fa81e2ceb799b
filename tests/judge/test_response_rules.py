"""What every HTTP response has to carry is looked at whichever case asked for it, and of the server's own alone."""

from __future__ import annotations

import pytest

from runwire_conformance.rules import findings
from runwire_conformance.trace.http_request import Endpoint, HttpRequest, endpoint_of
from runwire_conformance.trace.trace import MOST_HEADER, Trace
from tests.support.conversations import CONTEXT

PAGE = "https://app.example"
PROBLEM = ("content-type", "application/problem+json")
GOOD = {
    "cache-control": "private, No-Store",
    "vary": "Accept-Encoding, ORIGIN",
    "access-control-allow-origin": PAGE,
    "access-control-expose-headers": "Location, Retry-After, WWW-Authenticate",
    "retry-after": "1",
    "content-type": "application/problem+json; charset=utf-8",
}
RUNS = "https://host.example/v1/runs"
ENDPOINTS: dict[Endpoint, str] = {"discovery": "https://host.example/.well-known/runwire", "runs": RUNS}


def found(asked: HttpRequest | None, status: int, headers: dict[str, str]) -> set[str]:
    """Return what is found in one response to one request."""
    trace = Trace("http", "a request", request=asked)
    trace.add("client", "request", "a request")
    trace.add("server", "response", str(status), code=status, headers=tuple(headers.items()))
    return {finding.requirement for finding in findings(trace, CONTEXT)}


def less(*names: str) -> dict[str, str]:
    """Return good headers without some."""
    return {name: value for name, value in GOOD.items() if name not in names}


@pytest.mark.parametrize("status", [200, 202, 304, 400, 401, 404, 405, 406, 409, 413, 415, 429, 503])
def test_each_header_is_missed_on_every_status(status: int) -> None:
    asked = HttpRequest("POST", "runs", PAGE)

    assert found(asked, status, GOOD) == set()
    assert found(asked, status, less("cache-control")) == {"HTTP-13"}
    assert found(asked, status, {**GOOD, "cache-control": "no-cache"}) == {"HTTP-13"}
    assert found(asked, status, less("vary")) == {"HTTP-21"}
    assert found(asked, status, less("access-control-allow-origin")) == {"HTTP-17"}
    assert found(asked, status, {**GOOD, "access-control-expose-headers": "Location"}) == {"HTTP-17"}
    assert found(asked, status, less("retry-after")) == ({"LIMIT-10"} if status in {429, 503} else set())


def test_a_discovery_document_may_be_stored_and_varies() -> None:
    assert found(HttpRequest("GET", "discovery"), 200, {"vary": "Origin"}) == set()
    assert found(HttpRequest("GET", "discovery"), 200, {}) == {"HTTP-21"}


def test_no_cache_stores_what_answers_a_preflight() -> None:
    assert found(HttpRequest("OPTIONS", "runs"), 204, {"vary": "Origin"}) == set()


def test_nobody_is_accused_for_what_may_be_anothers() -> None:
    whole_runs = HttpRequest("GET", "runs", PAGE)

    assert found(None, 200, {}) == set()  # a recording, or bytes that a case sent by itself
    assert found(HttpRequest("GET"), 404, dict([PROBLEM])) == set()  # no path of chapter 9
    assert found(whole_runs, 503, {"content-type": "text/html"}) == set()  # of a proxy
    assert (
        found(whole_runs, 403, less("access-control-allow-origin")) == set()
    )  # the page is not listed after all
    assert found(whole_runs, 200, {**less("vary"), "server": "x" * MOST_HEADER}) == set()  # it was cut


def test_a_head_has_no_body_that_tells_whose_it_is() -> None:
    assert found(HttpRequest("HEAD", "runs"), 405, {"cache-control": "no-store"}) == {"HTTP-21"}


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (RUNS, "runs"),
        (f"{RUNS}?x=1", "runs"),
        (f"{RUNS}/abc/events?after=1", "runs"),
        (ENDPOINTS["discovery"], "discovery"),
        (f"{ENDPOINTS['discovery']}/more", None),
        (f"{RUNS}/", None),
        (f"{RUNS}//events", None),
        (f"{RUNS}/abc/", None),
        (f"{RUNS}/../runs", None),
        (f"{RUNS}/%61bc", None),
        (f"{RUNS}more", None),
        ("https://other.example/v1/runs", None),
    ],
)
def test_a_url_belongs_to_the_endpoint_at_or_above_it(url: str, endpoint: str | None) -> None:
    assert endpoint_of(url, ENDPOINTS) == endpoint


@pytest.mark.parametrize(
    ("headers", "came"),
    [
        (less("cache-control"), "got 200 with no `cache-control`"),
        ({**GOOD, "cache-control": "no-cache"}, "got 200 with `cache-control: no-cache`"),
    ],
)
def test_what_came_in_place_of_a_header_is_told(headers: dict[str, str], came: str) -> None:
    trace = Trace("http", "a request", request=HttpRequest("POST", "runs", PAGE))
    trace.add("server", "response", "200", code=200, headers=tuple(headers.items()))

    assert [finding.text for finding in findings(trace, CONTEXT)] == [
        f"expected `Cache-Control: no-store` on every response; {came}"
    ]
