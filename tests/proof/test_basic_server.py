"""The judge before servers that are far from conformant: the shortest one, none at all, and a silent one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runwire_spec import catalogue
from tests.proof.flaws.judge import Verdicts, judge
from tests.support.basic_servers import DONE_S, PATIENCE_S, Serve, port_of
from tests.support.patience import patience

pytestmark = pytest.mark.whole

EXAMPLES = Path(__file__).parents[2] / "examples"

# What the twenty lines make of the sentences of class `basic`, worked out by hand: a message without `prompt`
# is a KeyError, which ends the connection, and uvicorn ends it without a Close frame: that is accused, and what hangs
# on it is blocked. All else they keep; whether their Close frame behind an answer comes before the judge's, and so
# shows CLOSE-1, is a matter of moments.
BROKEN_BASIC, BLOCKED_BASIC, MOMENTARY = {"CLOSE-2"}, {"MSG-23"}, {"CLOSE-1"}

# Sentences of class `core` that they break and that hang on no other: they have no discovery, no subprotocol,
# no `ready`, `started`, `run_id` or `status`, and answer no heartbeat.
BROKEN_CORE = {
    "CONN-1", "CONN-7", "CONN-8", "CONN-15", "RUN-3", "RUN-27", "EVENT-21", "BEAT-5",
}  # fmt: skip


@asynccontextmanager
async def uvicorn(app: str) -> AsyncIterator[str]:
    """Run an application of the examples as its readers would, on a free port."""
    async with port_of(answer=None) as free:
        port = free
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", app, "--app-dir", str(EXAMPLES), "--port", str(port),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(patience(20)):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def web_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer like a web server that has a page and nothing else."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = head.startswith(b"GET / ")
    status = b"200 OK" if found else b"404 Not Found"
    writer.write(b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nhtml" % status)
    await writer.drain()


def test_the_shortest_server_is_told_what_it_lacks() -> None:
    async def run() -> Verdicts:
        async with uvicorn("twenty_lines:app") as url:
            return await judge(url)

    verdicts = asyncio.run(run())

    assert verdicts.exit_code == 1, verdicts.output
    assert "Traceback" not in verdicts.output
    assert verdicts.seconds < patience(30)
    failed = {blame.requirement for blame in verdicts.blames if blame.verdict == "fail"}
    assert {name for name in failed if catalogue()[name].conformance_class == "basic"} == BROKEN_BASIC
    assert failed >= BROKEN_CORE, BROKEN_CORE - failed
    assert all(name in verdicts.output for name in failed)
    assert all(
        name in verdicts.output for name, verdict in verdicts.by_requirement.items() if verdict == "fail"
    )


def test_every_basic_requirement_of_the_shortest_server_is_judged() -> None:
    async def run() -> Verdicts:
        async with uvicorn("twenty_lines:app") as url:
            return await judge(url.replace("http", "ws") + "/ws/generate", ["--class", "basic"])

    verdicts = asyncio.run(run())

    basic = {r.id for r in catalogue().values() if r.conformance_class == "basic" and r.provable}
    judged = {name: verdicts.by_requirement[name] for name in basic}
    assert {name for name, verdict in judged.items() if verdict == "fail"} == BROKEN_BASIC
    passed = {name for name, verdict in judged.items() if verdict == "pass"}
    assert passed | MOMENTARY == basic - BROKEN_BASIC - BLOCKED_BASIC


def test_nothing_listens() -> None:
    async def run() -> Verdicts:
        async with port_of(None) as port:
            pass
        return await judge(f"http://127.0.0.1:{port}")

    verdicts = asyncio.run(run())

    assert verdicts.exit_code == 2
    assert len(verdicts.output.strip().splitlines()) == 1, verdicts.output
    assert "connect" in verdicts.output


def test_a_web_server_is_no_runwire_server() -> None:
    async def run() -> Verdicts:
        async with port_of(web_page) as port:
            return await judge(f"http://127.0.0.1:{port}")

    verdicts = asyncio.run(run())

    assert verdicts.exit_code == 2
    assert len(verdicts.output.strip().splitlines()) == 1, verdicts.output
    assert "not a Runwire server" in verdicts.output


async def silent_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the handshake and say nothing more."""
    from websockets.server import ServerProtocol

    protocol = ServerProtocol()
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    (request,) = protocol.events_received()
    protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
    writer.write(b"".join(protocol.data_to_send()))
    await writer.drain()


@pytest.mark.parametrize("serve", [None, silent_websocket], ids=["tcp", "websocket"])
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_silent_server_is_accused_of_nothing(scheme: str, serve: Serve | None) -> None:
    async def run() -> tuple[Verdicts, float]:
        async with port_of(serve) as port:
            path = "/ws/generate" if scheme == "ws" else ""
            begun = asyncio.get_running_loop().time()
            verdicts = await judge(f"{scheme}://127.0.0.1:{port}{path}", [f"--patience={PATIENCE_S}"])
            return verdicts, asyncio.get_running_loop().time() - begun

    verdicts, seconds = asyncio.run(run())

    assert verdicts.exit_code == 2, verdicts.output
    assert "no Runwire server" in verdicts.output
    assert verdicts.blamed == ()
    assert seconds < patience(DONE_S)
