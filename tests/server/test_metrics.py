"""What the reference server counts, says and keeps to itself."""

import asyncio
import io
import json
import logging
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from runwire_reference_server.observability import logs
from runwire_spec import registries
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience, tries

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

SECRETS = ("planted-prompt", "planted-token-of-the-agent", "planted-credential", "planted-query")


class Quoting:
    """An agent that fails with what it was asked, as bad ones do."""

    async def run(self, task: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "token", "data": "planted-token-of-the-agent"}
        raise RuntimeError(task.prompt)


class Stubborn:
    """An agent that says something more when it is stopped."""

    async def run(self, _task: Any) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"type": "token", "data": "a"}
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            yield {"type": "token", "data": "late"}


def scrape(url: str, headers: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return the samples of /metrics by name and labels."""
    call = urllib.request.Request(f"{url}/metrics", headers=dict(headers or {}))
    with urllib.request.urlopen(call, timeout=patience(10)) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = response.read().decode()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def play(url: str, *messages: dict[str, Any], until: str) -> None:
    """Send messages and read until one of a type came."""
    async with connect(url.replace("http", "ws") + "/ws/generate", compression=None) as socket:
        for message in messages:
            await socket.send(json.dumps(message))
        async with asyncio.timeout(patience(10)):
            while json.loads(await socket.recv())["type"] != until:
                pass


def script(*steps: dict[str, Any]) -> str:
    return json.dumps({"runwire_script": list(steps)})


async def test_what_happens_is_counted(server_url: str) -> None:
    before = await asyncio.to_thread(scrape, server_url)
    await play(server_url, {"prompt": script({"token": "a"}, {"thinking": "b"})}, until="done")
    await play(server_url, {"prompt": script({"fail": {"code": "agent_error", "data": "x"}})}, until="error")
    await play(server_url, {"prompt": script({"wait_ms": 9000})}, {"type": "cancel"}, until="done")
    await play(server_url, {"type": "resume", "run_id": "r" * 22, "after": 0}, until="error")

    def grown() -> dict[str, float]:
        after = scrape(server_url)
        return {
            name: value - before.get(name, 0)
            for name, value in after.items()
            if value != before.get(name, 0) and "_created" not in name and " " in name
        }

    found: dict[str, float] = {}
    for _ in tries(10, 0.02):
        found = await asyncio.to_thread(grown)
        if found.get("runwire_disconnects_total client") == 4:
            break
        await asyncio.sleep(0.02)
    assert {name: count for name, count in found.items() if "bucket" not in name} == {
        "runwire_runs_total completed": 1,
        "runwire_runs_total failed": 1,
        "runwire_runs_total cancelled": 1,
        "runwire_events_total token": 1,
        "runwire_events_total thinking": 1,
        "runwire_events_total done": 2,
        "runwire_events_total error": 1,
        "runwire_resumes_total not_found": 1,
        "runwire_disconnects_total client": 4,
    }
    samples = await asyncio.to_thread(scrape, server_url)
    assert samples["runwire_first_event_seconds_count"] - before["runwire_first_event_seconds_count"] == 3
    assert samples["runwire_cancel_seconds_count"] - before["runwire_cancel_seconds_count"] == 1


def serve(*options: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server that logs everything to a pipe."""
    server = subprocess.Popen(
        [*command(), "--log-level=debug", "--log-format=json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    return server, listening(server)


async def test_the_log_is_json_and_holds_nothing_that_callers_sent() -> None:
    server, url = serve(f"--agent={__name__}:Quoting")
    try:
        run_id = "planted-query-planted-query"
        await play(url, {"type": "start", "prompt": "planted-prompt", "run_id": run_id}, until="error")
        for headers, path in (
            ({"Authorization": "Bearer planted-credential"}, "/v1/runs?token=planted-query"),
            ({"Host": "planted-credential.example"}, "/"),
            ({"Origin": "https://planted-credential.example"}, "/v1/runs/planted-query"),
        ):
            call = urllib.request.Request(url + path, headers=headers)
            with pytest.raises(urllib.error.HTTPError) as refused:
                await asyncio.to_thread(urllib.request.urlopen, call, timeout=patience(10))
            refused.value.close()
    finally:
        server.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(server.communicate, timeout=patience(20))

    lines = [json.loads(line) for line in said.splitlines()]
    assert {"a run ended", "a connection ended"} <= {line["event"] for line in lines}
    for line in lines:
        if line["event"] == "a run ended":
            assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
            assert line["status"] == "failed"
    assert [secret for secret in SECRETS if secret in said] == []
    assert "Traceback" not in said


def test_an_exception_is_named_by_its_type_alone() -> None:
    stream, stderr = io.StringIO(), sys.stderr
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        sys.stderr = stream
        logs.set_up("info", json=True)
        try:
            raise ValueError("planted-prompt")
        except ValueError:
            logging.getLogger("some.library").exception("it failed", extra={"prompt": "planted-prompt"})
    finally:
        sys.stderr = stderr
        root.handlers[:] = handlers
        root.setLevel(level)

    line = json.loads(stream.getvalue())
    assert (line["event"], line["exception_type"], line["level"]) == ("it failed", "ValueError", "error")
    assert "planted-prompt" not in stream.getvalue()


async def test_readiness_fails_first_while_draining() -> None:
    server, url = serve("--drain-s=3")

    def probe(path: str) -> int:
        try:
            with urllib.request.urlopen(url + path, timeout=patience(10)) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    try:
        async with connect(url.replace("http", "ws") + "/ws/generate", compression=None) as socket:
            await socket.send(json.dumps({"prompt": script({"wait_ms": 60_000})}))
            before = [await asyncio.to_thread(probe, path) for path in ("/healthz", "/readyz")]
            server.send_signal(signal.SIGTERM)
            seen = []
            async with asyncio.timeout(patience(10)):
                async for text in socket:
                    message = json.loads(text)
                    if message.get("code") == "draining":
                        seen = [await asyncio.to_thread(probe, path) for path in ("/healthz", "/readyz")]
                    if message["type"] == "error":
                        break
                assert message["code"] == "worker_lost"
                await socket.wait_closed()
            code = socket.close_code
    finally:
        server.terminate()
        await asyncio.to_thread(server.communicate, timeout=patience(20))

    assert before == [200, 200]
    assert seen == [200, 503]
    assert code == 4000


async def test_every_metric_of_the_registry_moves(tmp_path: Path) -> None:
    server, url = serve(f"--agent={__name__}:Stubborn", f"--auth-tokens={tokens(tmp_path)}")
    say = {"Authorization": "Bearer metrics-token-0123456789"}
    address = url.replace("http", "ws") + "/ws/generate"
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, f"{url}/v1/runs/{'r' * 22}", timeout=patience(10))
        refused.value.close()
        async with connect(address, compression=None, additional_headers=say) as socket:
            await socket.send('{"prompt":"x"}')
            async with asyncio.timeout(patience(10)):
                while json.loads(await socket.recv())["type"] != "token":
                    pass
                during = await asyncio.to_thread(scrape, url, say)
                await socket.send('{"type":"cancel"}')
                while json.loads(await socket.recv())["type"] != "done":
                    pass
            await socket.send(json.dumps({"type": "resume", "run_id": "r" * 22, "after": 0}))
        after: dict[str, float] = {}
        for _ in tries(10, 0.02):
            after = await asyncio.to_thread(scrape, url, say)
            if after["runwire_refused_appends_total"] and after.get("runwire_disconnects_total client"):
                break
            await asyncio.sleep(0.02)
    finally:
        server.terminate()
        await asyncio.to_thread(server.communicate, timeout=patience(20))

    assert (during["runwire_runs_active"], during["runwire_connections websocket"]) == (1, 1)
    moved = {name.split(" ")[0] for samples in (during, after) for name, value in samples.items() if value}
    histograms = {name.removesuffix("_count") for name in moved if name.endswith("_seconds_count")}
    slow_readers = {"runwire_slow_readers_total"}  # moves in the tests of backpressure
    assert {row["metric"] for row in registries()["metrics"]} - slow_readers <= moved | histograms


def tokens(folder: Path) -> Path:
    """Return a file with one token."""
    (folder / "tokens").write_text("alice metrics-token-0123456789\n", encoding="utf-8")
    return folder / "tokens"
