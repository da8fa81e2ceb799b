"""Flaws of servers that name a proxy, or stand behind one: it is excused of what it does, and the server of nothing."""

# ruff: noqa: ARG001, ARG002 - a flaw has the arguments of its hook
from __future__ import annotations

from tests.proof.flaws.flaw import answers, flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.rewrite import Rewrite


@answers("SSE-1")
def streams_may_be_stored_behind_nginx(rewrite: Rewrite, request: Request, response: Response) -> Response:
    """Behind nginx, which takes X-Accel-Buffering for itself, streams may be stored."""
    response = response.without_header("x-accel-buffering").with_header("Server", "nginx/1.22.1")
    return response.with_header("Cache-Control", "no-transform") if response.is_stream else response


@answers("HTTP-7")
def pages_of_its_own_behind_nginx(rewrite: Rewrite, request: Request, response: Response) -> Response:
    """Behind nginx, a request for an unknown run gets a page of the server's own."""
    response = response.with_header("Server", "nginx/1.22.1")
    if response.status != 404:
        return response
    return response.with_header("Content-Type", "text/html").with_body(b"<h1>No such run</h1>")


@answers("CONN-11")
def upgrade_header_left_out_by_a_named_server(
    rewrite: Rewrite, request: Request, response: Response
) -> Response:
    """A server that names itself, and no proxy, answers 426 without Upgrade header."""
    response = response.with_header("Server", "acme-agents/3")
    return response.without_header("upgrade") if response.status == 426 else response


@flaw("ORIGIN-4")
class ForeignHostsAdmittedBehindCaddy(Rewrite):
    """A server behind Caddy, which passes Host on as it is, admits every one."""

    def request(self, request: Request) -> Request | Response:
        return request.with_header("Host", "localhost")

    def response(self, request: Request, response: Response) -> Response:
        return response.with_header("Server", "Caddy")
