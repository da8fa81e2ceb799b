"""The command `runwire`, called as a user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.patience import patience

RUNWIRE = str(Path(sys.executable).parent / "runwire")


def runwire(
    folder: Path, *arguments: str, said: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder and return what it wrote."""
    return subprocess.run(
        [RUNWIRE, *arguments],
        cwd=folder,
        input=said,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=patience(100),
        check=False,
    )


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port
