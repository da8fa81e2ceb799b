"""What a proxy did is recognised by positive signs alone, and nothing else is excused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Trace
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict
from runwire_conformance.verdict.proxies.products import Symptom
from runwire_conformance.verdict.proxies.signs import ProxySigns, explained_by_proxy, signs_of, without_proxy
from runwire_spec import catalogue

NGINX_PAGE = (
    "<html>\r\n<head><title>400</title></head>\r\n<body>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>"
)
APACHE_PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n'
    "<html><head>\n<title>404 Not Found</title>\n</head><body>"
)
HAPROXY_PAGE = "<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>"
VARNISH_PAGE = "<html>\n<body>\n<h1>Error 503 Backend fetch failed</h1>\n<h3>Guru Meditation:</h3>\n</body>"
STREAM = {"content-type": "text/event-stream", "cache-control": "no-store, no-transform"}
JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}


def response(status: int, headers: Mapping[str, str], body: str = "", at: float = 0.0) -> Record:
    return Record(at, "server", "response", f"{status} {body}", code=status, headers=tuple(headers.items()))


def trace(*records: Record, transport: Any = "http") -> Trace:
    return Trace(transport, "GET /", 0.0, list(records))


def named(product: str) -> Trace:
    """A conversation of a server behind a proxy that writes its name into what it passes on."""
    return trace(response(200, {**JSON, "server": product}))


def explained(requirement: str, accused: Trace, *others: Trace) -> Symptom | None:
    return explained_by_proxy(requirement, [accused], signs_of([accused, *others]))


def cut(after: float, transport: Any = "websocket") -> Trace:
    said = Record(1.0, "server", "text", "{}", Message(type="ready"))
    return trace(said, Record(1.0 + after, "server", "lost", "the connection ended"), transport=transport)


def piece(waited: float, message: Message | None = None) -> Trace:
    blocks = [Record(waited + place / 100, "server", "block", "data: {}", message) for place in range(4)]
    ended = Record(waited + 0.05, "server", "lost", RESPONSE_ENDED)
    return trace(response(200, STREAM), *blocks, ended, transport="sse")


@pytest.mark.parametrize(
    ("seconds", "symptom"), [((1.2, 1.2, 1.21), Symptom.GATHERED), ((1.2, 1.8, 2.4), None)]
)
def test_a_stream_that_was_read_as_a_response_is_gathered_too(
    seconds: tuple[float, ...], symptom: Symptom | None
) -> None:
    read = trace(*(response(200, STREAM, at=at) for at in seconds))

    assert explained("EVENT-4", read, named("nginx"), piece(1.0), piece(1.0)) is symptom
    assert explained("EVENT-4", read, piece(1.0), piece(1.0)) is None


@pytest.mark.parametrize(
    ("status", "headers", "body", "symptom"),
    [
        (400, HTML, NGINX_PAGE, Symptom.ANSWERED),
        (413, HTML, NGINX_PAGE, Symptom.TOO_LARGE),
        (502, HTML, NGINX_PAGE, Symptom.GATEWAY),
        (504, {}, "", Symptom.GATEWAY),
        (400, HTML, "<h1>a page of the server's own</h1>", None),
        (502, JSON, "{}", None),
        (200, {"content-length": "0"}, "", None),
    ],
)
def test_what_nginx_answers_itself_is_told_from_what_it_passes_on(
    status: int, headers: Mapping[str, str], body: str, symptom: Symptom | None
) -> None:
    answer = trace(response(status, {**headers, "server": "nginx/1.22.1"}, body))

    assert explained("HTTP-7", answer) is symptom


@pytest.mark.parametrize(
    ("server", "page", "name"),
    [("Apache/2.4.68 (Debian)", APACHE_PAGE, "Apache"), ("", HAPROXY_PAGE, "HAProxy")],
)
def test_a_page_names_its_proxy(server: str, page: str, name: str) -> None:
    signs = signs_of([trace(response(504, {**HTML, "server": server}, page))])

    assert signs.name == name


@pytest.mark.parametrize(
    ("header", "value", "name"),
    [
        ("server", "nginx", "nginx"),
        ("server", "openresty/1.25.3.1", "nginx"),
        ("server", "Apache", "Apache"),
        ("server", "Caddy", "Caddy"),
        ("via", "1.1 Caddy", "Caddy"),
        ("server", "istio-envoy", "Envoy"),
        ("server", "h2o/2.2.5", "h2o"),
        ("server", "cloudflare", "Cloudflare"),
        ("server", "awselb/2.0", "an AWS load balancer"),
        ("via", "1.0 squid, 1.1 cache-7 varnish (Varnish/7.1)", "Varnish"),
        ("server", "nginx-unit-like", ""),
        ("server", "Apache-Coyote/1.1", ""),
        ("server", "uvicorn", ""),
        ("x-served-by", "nginx", ""),
    ],
)
def test_a_proxy_is_told_by_the_name_it_writes(header: str, value: str, name: str) -> None:
    assert signs_of([trace(response(200, {**JSON, header: value}))]).name == name


def test_html_under_another_name_than_the_servers_own_is_not_its() -> None:
    page = trace(response(404, {**HTML, "server": "BigProxy"}, "<h1>No</h1>"))

    assert explained("HTTP-7", page, named("uvicorn")) is Symptom.ANSWERED
    assert signs_of([page, named("uvicorn")]).name == "BigProxy"
    assert explained("HTTP-7", page, named("BigProxy")) is None
    assert explained("HTTP-7", page) is None


def test_a_header_that_nginx_takes_for_itself_is_excused_behind_nginx_alone() -> None:
    stream = trace(response(200, STREAM))

    assert explained("SSE-1", stream) is None
    assert explained("SSE-1", stream, named("Caddy")) is None
    assert explained("SSE-1", stream, named("nginx")) is Symptom.ACCEL
    assert explained("SSE-2", stream, named("nginx")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"cache-control": "no-store"},
        {"content-type": "text/plain"},
        {"content-encoding": "gzip"},
        {"x-accel-buffering": "yes"},
    ],
)
def test_what_else_is_wrong_with_a_stream_is_the_servers(wrong: Mapping[str, str]) -> None:
    assert explained("SSE-1", trace(response(200, {**STREAM, **wrong})), named("nginx")) is None


def test_an_upgrade_header_belongs_to_one_hop() -> None:
    answer = trace(response(426, JSON))
    kept = trace(response(426, {**JSON, "upgrade": "h2c"}))

    assert explained("CONN-11", answer, named("Caddy")) is Symptom.UPGRADE
    assert explained("CONN-11", answer, named("uvicorn")) is None
    assert explained("CONN-11", kept, named("Caddy")) is None


def test_a_handshake_that_is_told_to_upgrade_lost_its_header_on_the_way() -> None:
    answer = trace(response(426, JSON), transport="websocket")

    assert explained("CONN-6", answer, named("nginx")) is Symptom.HANDSHAKE
    assert explained("CONN-6", answer) is None


def test_only_some_write_another_host() -> None:
    accepted = trace(response(101, {}), transport="websocket")

    assert explained("ORIGIN-4", accepted, named("Apache/2.4.68 (Debian)")) is Symptom.HOST
    assert explained("ORIGIN-8", accepted, named("nginx")) is Symptom.HOST
    assert explained("ORIGIN-4", accepted, named("Caddy")) is None
    assert explained("ORIGIN-3", accepted, named("nginx")) is None


def test_equal_cuts_after_equal_silence_are_a_proxys_time_out() -> None:
    cuts = [cut(5.0), cut(5.1), cut(5.05, "sse")]

    assert explained("CLOSE-2", cuts[0], *cuts[1:], named("nginx")) is Symptom.CUT
    assert explained("CLOSE-2", cuts[0], *cuts[1:]) is None
    assert explained("CLOSE-2", cuts[0], cuts[1], named("nginx")) is None
    assert explained("CLOSE-2", cut(2.0), *cuts, named("nginx")) is None


@pytest.mark.parametrize(("tolerance", "excused"), [(0.0, False), (0.25, False), (0.5, True)])
def test_a_cut_that_the_judge_saw_late_or_early_is_the_proxys_too(tolerance: float, excused: bool) -> None:
    """What the judge read late of a conversation makes the silence behind it shorter, by less than its T."""
    late = cut(4.6)
    late.tolerance = tolerance

    found = explained("CLOSE-2", late, cut(5.0), cut(5.01), cut(5.02), named("nginx"))

    assert (found is Symptom.CUT) is excused


def test_a_silence_that_was_too_long_before_its_cut_is_the_servers() -> None:
    cuts = [cut(60.0), cut(60.0), cut(60.0)]
    cuts[0].marks[1] = "BEAT-1"

    assert explained("BEAT-1", cuts[0], *cuts[1:], named("nginx")) is None
    assert explained("BEAT-1", cuts[1], cuts[0], cuts[2], named("nginx")) is Symptom.CUT


def test_cuts_without_a_recognised_proxy_are_told_and_not_excused() -> None:
    signs = signs_of([cut(5.0), cut(5.0), cut(5.0)])
    accused = judgement("CLOSE-2", cut(5.0))

    judgements, remark = without_proxy([accused], signs)

    assert judgements == (accused,)
    assert remark is not None and "after 5.0 s" in remark


def test_streams_in_one_piece_are_gathered() -> None:
    others = [piece(2.0), piece(3.0), named("nginx")]
    silent = trace(response(200, STREAM), Record(4.0, "client", "lost"), transport="sse")

    assert explained("INPUT-8", piece(1.0), *others) is Symptom.GATHERED
    assert explained("INPUT-8", silent, *others) is Symptom.GATHERED
    assert explained("INPUT-8", piece(0.05), *others) is None
    assert explained("INPUT-8", piece(1.0), piece(2.0)) is None


def test_bytes_of_the_server_stay_proof_whatever_happened_to_their_time() -> None:
    said = piece(1.0, Message(type="heartbeat"))
    said.marks[2] = "SSE-13"
    late = piece(1.0, Message(type="heartbeat"))
    late.marks[2] = "SSE-12"
    others = [piece(2.0), piece(3.0), named("nginx")]

    assert explained("SSE-13", said, *others) is None
    assert explained("SSE-12", late, *others) is Symptom.GATHERED


def judgement(requirement: str, *accused: Trace) -> Judgement:
    accusations = tuple(
        Accusation(f"case {number}", f"reason {number}", traces=(one,)) for number, one in enumerate(accused)
    )
    reasons = tuple(one.reason for one in accusations)
    return Judgement(catalogue()[requirement], Verdict.FAIL, reasons, accusations)


def test_what_is_explained_is_not_exercised_and_told_once() -> None:
    answer = trace(response(413, {**HTML, "server": "nginx"}, NGINX_PAGE))
    stream = trace(response(200, {**STREAM, "server": "nginx"}))
    accused = [judgement("HTTP-10", answer), judgement("SSE-1", stream), judgement("HTTP-7", answer)]

    judgements, remark = without_proxy(accused, signs_of([answer, stream]))

    assert [one.verdict for one in judgements] == [Verdict.NOT_EXERCISED] * 3
    assert [one.accusations for one in judgements] == [()] * 3
    assert remark is not None
    assert remark.startswith("nginx is in front of the server")
    for word in ("HTTP-10, HTTP-7", "client_max_body_size", "SSE-1", "proxy_pass_header"):
        assert word in remark


def test_what_is_left_of_the_accusations_stands() -> None:
    answer = trace(response(400, {**HTML, "server": "nginx"}, NGINX_PAGE))
    own = trace(response(200, {**JSON, "server": "nginx"}))

    (left,), remark = without_proxy([judgement("HTTP-7", answer, own)], signs_of([answer, own]))

    assert left.verdict is Verdict.FAIL
    assert left.reasons == ("reason 1",)
    assert [one.case for one in left.accusations] == ["case 1"]
    assert remark is None


def test_nothing_is_called_broken_that_the_proxy_explains() -> None:
    answer = trace(response(426, {**JSON, "server": "nginx"}), transport="websocket")
    moot = Judgement(catalogue()["RUN-1"], Verdict.NOT_EXERCISED, ("blocked by CONN-6",))

    judgements, _ = without_proxy([judgement("CONN-6", answer), moot], signs_of([answer]))

    assert judgements[0].reasons == judgements[1].reasons


def test_signs_add_up() -> None:
    cuts = [cut(5.0), cut(5.0), cut(5.0)]
    total = sum((signs_of([one]) for one in [*cuts, named("nginx"), piece(2.0)]), ProxySigns())

    assert total == signs_of([*cuts, named("nginx"), piece(2.0)])
    assert (total.name, total.cut_after, total.gathered) == ("nginx", 5.0, 1)
