"""The example servers over FastAPI, as their reader starts them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.patience import patience

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def example(name: str) -> Iterator[str]:
    """Serve `examples/NAME.py` on a free port and give its host and port; it may not listen yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uvicorn = [sys.executable, "-m", "uvicorn", f"{name}:app", "--app-dir", EXAMPLES, f"--port={port}"]
    server = subprocess.Popen(uvicorn, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"localhost:{port}"
    finally:
        server.terminate()
        server.wait(patience(20))
