"""Where the signs of a proxy begin and end: its names, its answers, its time-outs and its buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Trace
from runwire_conformance.verdict.judgement import Judgement, Verdict
from runwire_conformance.verdict.proxies.products import Symptom
from runwire_conformance.verdict.proxies.signs import host_advice, signs_of, without_proxy
from runwire_spec import catalogue
from tests.judge.test_proxies import (
    APACHE_PAGE,
    HAPROXY_PAGE,
    HTML,
    JSON,
    NGINX_PAGE,
    STREAM,
    VARNISH_PAGE,
    cut,
    explained,
    judgement,
    named,
    piece,
    response,
    trace,
)

GATHERED = [named("nginx"), piece(2.0), piece(3.0)]


def stream(*seconds: float, began: float = 0.0) -> Trace:
    """A stream that was asked for at `began` and whose blocks came then."""
    blocks = [Record(at, "server", "block", "data: {}") for at in seconds]
    asked = Record(began, "client", "request", "GET /")
    return Trace("sse", "GET /", began, [asked, *blocks])


def broken_off(*before: Record, at: float = 6.0, transport: Any = "websocket") -> Trace:
    """A conversation that the other end broke off, with what came before."""
    return trace(*before, Record(at, "server", "lost", "the connection ended"), transport=transport)


def is_cut_after(silence: float, accused: Trace) -> bool:
    """Whether a conversation was cut after the silence after which nginx cut three others."""
    others = [cut(silence), cut(silence), cut(silence), named("nginx")]
    return explained("CLOSE-2", accused, *others) is Symptom.CUT


# Names.


@pytest.mark.parametrize(
    ("header", "value", "product", "setting"),
    [
        ("Server", "nginx/1.22.1", "nginx", "`proxy_set_header Host $http_host`"),
        ("server", "Apache/2.4.68 (Debian)", "Apache", "`ProxyPreserveHost On`"),
        ("SERVER", "uvicorn, nginx", "nginx", "`proxy_set_header Host $http_host`"),
        ("Via", "1.0 squid, nginx", "nginx", "`proxy_set_header Host $http_host`"),
    ],
)
def test_who_is_refused_behind_a_proxy_that_rewrites_host_is_told_what_to_set(
    header: str, value: str, product: str, setting: str
) -> None:
    advice = host_advice([("Content-Type", "text/plain"), (header, value)])

    assert advice == (
        f"{product} is in front of the server and may have changed the Host of the request: "
        f"set {setting} in {product}, or make the server accept that name"
    )


@pytest.mark.parametrize(
    "headers",
    [[], [("Server", "uvicorn")], [("Server", "Caddy"), ("Via", "1.1 Caddy")], [("X-Served-By", "nginx")]],
)
def test_nothing_is_advised_on_host_where_no_proxy_rewrites_it(headers: list[tuple[str, str]]) -> None:
    assert host_advice(headers) is None


@pytest.mark.parametrize(
    ("header", "value", "name"),
    [
        ("server", "uvicorn, nginx/1.22.1", "nginx"),
        ("via", "1.0 squid,1.1 Caddy", "Caddy"),
        ("server", "cloudflare , uvicorn", "Cloudflare"),
    ],
)
def test_a_proxy_is_known_by_any_name_of_a_list(header: str, value: str, name: str) -> None:
    assert signs_of([trace(response(200, {**JSON, header: value}))]).name == name


@pytest.mark.parametrize("kind", ["text", "block"])
def test_what_an_agent_writes_about_a_proxy_is_no_sign_of_it(kind: str) -> None:
    assert signs_of([trace(Record(0.0, "server", kind, HAPROXY_PAGE))]).name == ""


@pytest.mark.parametrize(
    "passed_on",
    [
        response(200, {**STREAM, "server": "uvicorn"}),
        response(101, {"server": "uvicorn"}),
        response(404, {"content-type": "application/problem+json", "server": "uvicorn"}),
    ],
)
def test_streams_and_handshakes_and_json_show_the_servers_own_name(passed_on: Record) -> None:
    strange = trace(response(404, {**HTML, "server": "BigProxy"}))
    own = trace(response(404, {**HTML, "server": "uvicorn"}))

    assert explained("HTTP-7", strange, trace(passed_on)) is Symptom.ANSWERED
    assert explained("HTTP-7", own, trace(passed_on)) is None


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {}])
def test_only_a_page_of_html_is_a_strangers(headers: Mapping[str, str]) -> None:
    other = trace(response(404, {**headers, "server": "BigProxy"}))

    assert signs_of([other, named("uvicorn")]).name == ""


# Answers.


@pytest.mark.parametrize("status", [502, 504])
def test_an_error_of_a_gateway_needs_no_page(status: int) -> None:
    answer = trace(response(status, {}))

    assert explained("HTTP-7", answer, named("nginx")) is Symptom.GATEWAY
    assert explained("HTTP-7", answer, named("uvicorn")) is None


def test_a_503_is_the_proxys_on_its_own_page_alone() -> None:
    page = trace(response(503, {**HTML, "server": "nginx"}, NGINX_PAGE))
    plain = trace(response(503, {"content-type": "text/plain", "server": "nginx"}, "draining"))

    assert explained("HTTP-7", page) is Symptom.GATEWAY
    assert explained("HTTP-7", plain) is None


@pytest.mark.parametrize(
    ("status", "headers", "symptom"),
    [
        (200, {"content-length": "0"}, Symptom.ANSWERED),
        (200, {"content-length": "2"}, None),
        (200, {}, None),
        (200, {"content-length": "0", "content-type": "text/plain"}, None),
        (404, {"content-length": "0"}, None),
    ],
)
def test_caddy_answers_an_unknown_host_with_an_empty_200(
    status: int, headers: Mapping[str, str], symptom: Symptom | None
) -> None:
    answer = trace(response(status, {**headers, "server": "Caddy"}))

    assert explained("HTTP-7", answer) is symptom


@pytest.mark.parametrize(("status", "symptom"), [(101, Symptom.HOST), (200, Symptom.HOST), (400, None)])
def test_only_a_request_that_was_accepted_may_have_had_its_host_changed(
    status: int, symptom: Symptom | None
) -> None:
    assert explained("ORIGIN-4", trace(response(status, JSON)), named("nginx")) is symptom


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "text/event-stream ;charset=utf-8"])
def test_a_media_type_with_parameters_is_a_stream_too(kind: str) -> None:
    answer = trace(response(200, {**STREAM, "content-type": kind}))

    assert explained("SSE-1", answer, named("nginx")) is Symptom.ACCEL


# Proof.


def test_a_message_that_is_forbidden_stays_proof_as_the_first_record_too() -> None:
    cuts = [cut(5.0), cut(5.0), cut(5.0), named("nginx")]
    cuts[0].marks[0] = "CONN-16"

    assert explained("CONN-16", cuts[0], *cuts[1:]) is None


@pytest.mark.parametrize(("place", "requirement"), [(0, "CONN-16"), (-1, "INPUT-8")])
def test_a_message_that_shows_something_else_is_no_proof(place: int, requirement: str) -> None:
    """Neither one that breaks another sentence, nor the last one where a sentence was broken by an absence."""
    accused = piece(1.0, Message(type="token"))
    accused.records = accused.records[1:-1]
    accused.marks[place] = requirement

    assert explained("INPUT-8", accused, *GATHERED) is Symptom.GATHERED


# Time-outs.


def test_a_connection_on_which_nothing_came_was_silent_from_its_beginning() -> None:
    silent = replace(broken_off(at=17.0), began=10.0)

    assert is_cut_after(7.0, silent)
    assert not is_cut_after(5.0, silent)


@pytest.mark.parametrize(("transport", "silence"), [("websocket", 2.0), ("sse", 5.0), ("http", 5.0)])
def test_the_client_breaks_the_silence_of_a_websocket_alone(transport: str, silence: float) -> None:
    said = Record(1.0, "server", "text", "{}"), Record(4.0, "client", "text", "{}")
    accused = broken_off(*said, transport=transport)

    assert [is_cut_after(each, accused) for each in (2.0, 5.0)] == [silence == 2.0, silence == 5.0]


@pytest.mark.parametrize(("side", "kind"), [("server", "close"), ("client", "close"), ("client", "lost")])
def test_a_conversation_that_was_ended_before_is_not_cut(side: Any, kind: str) -> None:
    ended = broken_off(Record(1.0, side, kind, "", code=1000 if kind == "close" else None))

    assert not is_cut_after(5.0, ended)


def test_a_client_that_leaves_after_a_silence_is_not_cut() -> None:
    said = Record(1.0, "server", "text", "{}")
    left = trace(said, Record(6.0, "client", "lost", "cut by the client"), transport="websocket")

    assert not is_cut_after(5.0, left)


def test_responses_that_ended_after_a_silence_are_not_cut() -> None:
    said = Record(1.0, "server", "block", "data: {}")
    ended = trace(said, Record(6.0, "server", "lost", RESPONSE_ENDED), transport="sse")

    assert not is_cut_after(5.0, ended)
    assert signs_of([ended] * 3).cut_after is None


@pytest.mark.parametrize(("silence", "after"), [(0.5, None), (0.99, None), (1.0, 1.0)])
def test_only_a_silence_of_a_second_is_one(silence: float, after: float | None) -> None:
    assert signs_of([cut(silence)] * 3).cut_after == after


@pytest.mark.parametrize(("silence", "equal"), [(4.75, False), (4.875, True), (5.125, True), (5.25, False)])
def test_silences_are_equal_within_a_quarter_of_a_second(silence: float, equal: bool) -> None:
    assert is_cut_after(5.0, cut(silence)) is equal


# Buffers.


@pytest.mark.parametrize(
    ("seconds", "gathered"),
    [
        ((1.0, 1.0), 0),
        ((1.0, 1.0, 1.0), 1),
        ((1.0, 1.0, 1.09), 1),
        ((1.0, 1.09, 1.09, 1.18), 0),
        ((1.0, 1.0, 1.2), 0),
        ((1.0, 1.2, 1.2), 0),
        ((0.8, 0.8, 0.8), 1),
        ((0.79, 0.8, 0.8), 0),
        ((0.5, 0.5, 0.5), 0),
        ((), 0),
    ],
)
def test_three_blocks_at_once_after_a_wait_are_one_piece(seconds: tuple[float, ...], gathered: int) -> None:
    assert signs_of([stream(*seconds)]).gathered == gathered


@pytest.mark.parametrize(("last", "gathered"), [(0.09, 1), (0.1, 0)])
def test_a_piece_lasts_less_than_a_tenth_of_a_second(last: float, gathered: int) -> None:
    assert signs_of([stream(0.0, 0.05, last, began=-2.0)]).gathered == gathered


def test_the_wait_for_a_piece_begins_with_its_conversation() -> None:
    assert signs_of([stream(100.5, 100.5, 100.5, began=100.0)]).gathered == 0
    assert signs_of([stream(101.0, 101.0, 101.0, began=100.0)]).gathered == 1


@pytest.mark.parametrize(
    ("wait", "symptom"), [(0.29, None), (0.3, Symptom.GATHERED), (0.5, Symptom.GATHERED)]
)
def test_a_shorter_wait_is_enough_where_streams_are_known_to_be_gathered(
    wait: float, symptom: Symptom | None
) -> None:
    assert explained("INPUT-8", stream(wait, wait, wait), *GATHERED) is symptom
    assert explained("INPUT-8", stream(wait, wait, wait), named("nginx")) is None


@pytest.mark.parametrize(
    ("waited", "symptom"), [(0.25, None), (0.3, Symptom.GATHERED), (4.0, Symptom.GATHERED)]
)
def test_a_stream_that_did_not_come_is_held_up_when_it_was_waited_for(
    waited: float, symptom: Symptom | None
) -> None:
    records = Record(0.0, "client", "request"), response(200, STREAM), Record(waited, "client", "lost")

    assert explained("INPUT-8", trace(*records, transport="sse"), *GATHERED) is symptom


def test_the_wait_for_a_stream_that_did_not_come_begins_with_its_conversation() -> None:
    short = Trace("sse", "GET /", 100.0, [Record(100.1, "client", "lost")])

    assert explained("INPUT-8", short, *GATHERED) is None
    assert explained("INPUT-8", replace(short, began=99.0), *GATHERED) is Symptom.GATHERED


def test_a_stream_of_which_nothing_is_known_is_not_held_up() -> None:
    assert explained("INPUT-8", trace(transport="sse"), *GATHERED) is None


@pytest.mark.parametrize(
    ("status", "media_type", "symptom"),
    [
        (200, "text/event-stream", Symptom.GATHERED),
        (500, "application/json", None),
        (404, "application/problem+json", None),
    ],
)
def test_a_stream_that_was_refused_is_not_held_up_however_long_that_took(
    status: int, media_type: str, symptom: Symptom | None
) -> None:
    answered = response(status, {"content-type": media_type}, at=0.5)
    refused = trace(Record(0.0, "client", "request"), answered, transport="sse")

    assert explained("SSE-3", refused, *GATHERED) is symptom


def test_the_page_of_a_varnish_that_names_itself_elsewhere_is_its_own() -> None:
    passed_on = trace(response(200, {**JSON, "via": "1.1 cache-7 (Varnish/7.1)"}))

    assert explained("HTTP-7", trace(response(503, HTML, VARNISH_PAGE)), passed_on) is Symptom.GATEWAY


@pytest.mark.parametrize("media_type", ["text/html", "Text/HTML; charset=utf-8"])
def test_the_media_type_of_a_page_has_no_case(media_type: str) -> None:
    page = trace(response(404, {"content-type": media_type, "server": "BigProxy"}, "<h1>No</h1>"))

    assert explained("HTTP-7", page, named("uvicorn")) is Symptom.ANSWERED


# Remarks.


def test_a_remark_says_what_each_proxy_did_to_what_and_how_to_set_it() -> None:
    large = trace(response(413, {**HTML, "server": "nginx"}, NGINX_PAGE))
    strange = trace(response(404, {**HTML, "server": "Apache"}, APACHE_PAGE))
    cuts = [cut(5.0), cut(5.0), cut(5.0)]
    accused = [
        judgement("HTTP-10", large),
        judgement("HTTP-7", strange),
        judgement("CLOSE-2", *cuts),
        judgement("RUN-1", cuts[0]),
    ]

    _, remark = without_proxy(accused, signs_of([large, strange, *cuts]))

    assert remark == (
        "nginx and Apache is in front of the server, so some requirements were not exercised: "
        "it refused a body that the server may accept (413) (HTTP-10; "
        "set `client_max_body_size 2m`, more than max_message_bytes"
        " or `LimitRequestBody`, more than max_message_bytes); "
        "it answered requests itself (HTTP-7); "
        "it cut silent connections (CLOSE-2, RUN-1; "
        "set `proxy_read_timeout` above heartbeat_s or `ProxyTimeout` above heartbeat_s)"
    )


def test_a_remark_on_equal_cuts_names_the_time_out_to_raise() -> None:
    _, remark = without_proxy([], signs_of([cut(5.0)] * 3))

    assert remark == (
        "connections were cut after 5.0 s of silence each; if that is the timeout of a proxy, not of the server, "
        "raise it above heartbeat_s"
    )


def test_what_is_blocked_by_a_requirement_that_is_still_broken_says_so() -> None:
    answer = trace(response(400, {**HTML, "server": "nginx"}, NGINX_PAGE))
    moot = Judgement(catalogue()["RUN-1"], Verdict.NOT_EXERCISED, ("blocked by CONN-6", "no time left"))

    judgements, _ = without_proxy([judgement("HTTP-7", answer), moot], signs_of([answer]))

    assert judgements[1] == moot
