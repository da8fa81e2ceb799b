"""Behind the proxies of the documentation: nothing of a good server is accused, and what they change is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.proof.flaws.flaw import Stand
from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.flaws.stand import start_server
from tests.support.programs import require_program
from tests.support.proxy_stand import CONFIGURATIONS, PROXIES, behind, changed

pytestmark = pytest.mark.whole

LIMITS: Mapping[str, float] = {
    "idle_s": 20,
    "run_s": 20,
    "connections_per_principal": 100,
    "runs_per_principal": 200,
}


def judged(
    name: str,
    cases: Sequence[str] = (),
    edit: Callable[[str], str] = lambda text: text,
    *,
    auth: bool = False,
    **limits: float,
) -> Verdicts:
    """Return what the judge says of a reference server behind a proxy, by all cases or by some."""
    kind = PROXIES[name]
    require_program(kind.program, kind.package)

    async def run() -> Verdicts:
        stand = Stand(limits={**LIMITS, **limits}, auth=auth)
        server = await start_server(stand, "--trust-proxy=127.0.0.1/32")
        try:
            async with behind(kind, server.url, edit) as url:
                settings = server.settings(stand) if auth else ""
                options = ["-k", " or ".join(cases)] if cases else []
                return await judge(url, options, settings=settings, environment=server.environment)
        finally:
            await server.stop()

    return asyncio.run(run())


def without(line: str) -> Callable[[str], str]:
    """Return an edit that leaves the one line out of a configuration that holds this."""

    def edit(text: str) -> str:
        kept = [one for one in text.splitlines() if line not in one]
        assert len(kept) == len(text.splitlines()) - 1, f"{line} stands in one line"
        return "\n".join(kept)

    return edit


def without_host(text: str) -> str:
    """Have nginx name the server as `Host` by the address at which it reaches it, as it does by default."""
    text = without("proxy_set_header Host")(text)
    text = changed(text, "upstream runwire {\n  server 127.0.0.1:8080;\n}\n", "")
    return changed(text, "http://runwire", "http://127.0.0.1:8080")


def gathering(text: str) -> str:
    """Have nginx gather what comes in one connection without chunks."""
    text = changed(text, "proxy_http_version 1.1;", "proxy_http_version 1.0;")
    return changed(
        text, "proxy_buffering off;", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"
    )


def assert_explained(verdicts: Verdicts, requirement: str, *words: str) -> None:
    """Assert that a requirement is not accused, nor passed, and that the remark holds these words."""
    assert verdicts.blamed == (), verdicts.output
    assert verdicts.by_requirement[requirement] == "not exercised", verdicts.output
    for word in words:
        assert word in " ".join(verdicts.output.split()), verdicts.output


@pytest.mark.parametrize("name", PROXIES)
def test_what_keeps_a_stream_flowing_passes_a_documented_proxy(name: str) -> None:
    cases = ["headers_that_keep_it_flowing", "a_ping_is_answered", "a_silent_stream", "a_post_starts_a_run"]

    verdicts = judged(name, cases)

    assert verdicts.blamed == (), verdicts.output
    shown = ("SSE-1", "CONN-12", "HTTP-1", "SSE-12")
    assert {one: verdicts.by_requirement.get(one) for one in shown} == dict.fromkeys(shown, "pass")


def test_nginx_takes_a_header_for_itself() -> None:
    verdicts = judged("nginx", ["keep_it_flowing"], without("proxy_pass_header"))

    assert_explained(verdicts, "SSE-1", "nginx", "proxy_pass_header X-Accel-Buffering")


def test_nginx_refuses_a_large_body() -> None:
    edit = without("client_max_body_size")

    verdicts = judged("nginx", ["a_body_beyond_the_limit"], edit, max_message_bytes=1_048_576)

    assert_explained(verdicts, "HTTP-10", "client_max_body_size")


def test_nginx_and_apache_write_the_host() -> None:
    nginx = judged("nginx", ["a_foreign_host"], without_host)
    apache = judged("apache", ["a_foreign_host", "discovery_describes"], without("ProxyPreserveHost"))

    assert_explained(nginx, "ORIGIN-4", "proxy_set_header Host $http_host")
    assert_explained(apache, "ORIGIN-4", "ProxyPreserveHost On")


def test_nginx_does_not_pass_upgrades_on() -> None:
    verdicts = judged("nginx", [], without("proxy_set_header Upgrade"))

    assert_explained(verdicts, "CONN-6", "proxy_set_header Upgrade $http_upgrade")
    assert verdicts.exit_code == 2, verdicts.output
    assert not any("CONN-6 is broken" in reason for told in verdicts.reasons.values() for reason in told)


def test_nginx_refuses_two_credentials() -> None:
    verdicts = judged("nginx", ["two_credentials_of_one_kind"], auth=True)

    assert_explained(verdicts, "AUTH-1", "nginx", "answered requests itself")


@pytest.mark.parametrize("name", ["nginx", "apache"])
def test_some_refuse_a_zero_in_a_path(name: str) -> None:
    verdicts = judged(name, ["requests_that_break_the_contract"])

    assert verdicts.blamed == (), verdicts.output


def test_nginx_gathers_a_stream() -> None:
    verdicts = judged("nginx", edit=gathering)

    assert verdicts.blamed == (), verdicts.output
    assert "proxy_buffering off" in " ".join(verdicts.output.split())


def test_nginx_cuts_what_is_silent() -> None:
    verdicts = judged(
        "nginx",
        ["heartbeat"],
        lambda text: changed(text, "proxy_read_timeout 60s;", "proxy_read_timeout 2s;"),
        heartbeat_s=4,
    )

    assert verdicts.blamed == (), verdicts.output
    assert "proxy_read_timeout" in " ".join(verdicts.output.split())


def test_caddy_drops_what_belongs_to_one_hop() -> None:
    verdicts = judged("caddy", ["a_plain_get_on_the_websocket_endpoint"])

    assert_explained(verdicts, "CONN-11", "Caddy", "Upgrade")


def test_the_page_shows_every_configuration() -> None:
    page = (Path(__file__).parents[2] / "docs/pages/proxies.md").read_text(encoding="utf-8")

    shown = {file.name for file in CONFIGURATIONS.iterdir() if f'--8<-- "proxies/{file.name}"' in page}

    assert shown == {file.name for file in CONFIGURATIONS.iterdir()}
    assert shown == {kind.file for kind in PROXIES.values()} | {"envoy.yaml"}
