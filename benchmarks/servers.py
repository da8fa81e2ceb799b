"""The servers that are compared: how they are started and asked, and the CPU time that they use."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Address, Way

HERE = Path(__file__).parent.parent
PEER = [sys.executable, "-m"]

#: This server, with limits that no load reaches; the client here answers no Ping.
RUNWIRE = [
    str(Path(sys.executable).parent / "runwire-server"), "--port=0", "--agent=benchmarks.agent:Tokens",
    "--log-level=error", "--log-bytes=64000000", "--kept-bytes-per-principal=4000000000",
    "--kept-bytes=4000000000", "--connections-per-principal=20000", "--runs-per-principal=20000",
    "--resume-window-s=60", "--pong-timeout-s=600",
]  # fmt: skip

WEBSOCKET_ENDS = (b'"type":"done"', b'"type":"error"', b'"type": "done"')


def websocket(path: str) -> Way:
    """Return how a WebSocket is asked."""
    return Way(path, WEBSOCKET_ENDS, websocket=True)


def tool_call(prompt: str) -> object:
    """Return MCP's request."""
    arguments = {"name": "run", "arguments": {"prompt": prompt}, "_meta": {"progressToken": 1}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}


def message(prompt: str) -> object:
    """Return A2A's request."""
    said = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": prompt}]}
    return {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": said}}


@dataclass(frozen=True, slots=True)
class Server:
    """A way to ask a server that is started by a command."""

    command: tuple[str, ...]
    way: Way


def peer(module: str, way: Way) -> Server:
    """Return a server of `peers/`."""
    return Server((*PEER, f"benchmarks.peers.{module}"), way)


SERVERS = {
    "floor WS": peer("floor", websocket("/")),
    "floor SSE": peer("floor", Way("/", WEBSOCKET_ENDS)),
    "websockets": peer("websockets_server", websocket("/")),
    "FastAPI WS": peer("fastapi_server", websocket("/ws")),
    "AG-UI SSE": peer("fastapi_server", Way("/agui", (b"RUN_FINISHED",), b"TEXT_MESSAGE_CONTENT")),
    "MCP": peer(
        "mcp_server",
        Way("/mcp", (b'"result":',), b"progress", tool_call, headers="MCP-Protocol-Version: 2025-06-18\r\n"),
    ),
    "A2A": peer(
        "a2a_server",
        Way("/", (b"TASK_STATE_COMPLETED", b'"error"'), b"artifact", message, headers="A2A-Version: 1.0\r\n"),
    ),
    "runwire WS": Server(tuple(RUNWIRE), websocket("/ws/generate")),
    "runwire SSE": Server(tuple(RUNWIRE), Way("/v1/runs", WEBSOCKET_ENDS)),
}


@dataclass(slots=True)
class Running:
    """A server that runs."""

    process: subprocess.Popen[str]
    address: Address

    @property
    def cpu_s(self) -> float:
        """The CPU time that its process has used, on all threads."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    @property
    def resident_bytes(self) -> int:
        """The memory that it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


@contextmanager
def redis() -> Iterator[str | None]:
    """Run a Redis of its own where there is one to run; yields its URL."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        call = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
        try:
            for _ in range(500):
                if path.exists():
                    break
                time.sleep(0.02)
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait(10)


@contextmanager
def running(command: tuple[str, ...]) -> Iterator[Running]:
    """Run a server, on a core of its own where there are two; raises RuntimeError when it does not start."""
    pinned = ("taskset", "-c", "0") if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else ()
    process = subprocess.Popen(
        [*pinned, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": str(HERE)},
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"listening at \D*(?:127\.0\.0\.1:)?(\d+)$", line.strip()):
                yield Running(process, ("127.0.0.1", int(found[1])))
                return
        raise RuntimeError(f"{' '.join(command)} did not start")
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
