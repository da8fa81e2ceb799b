"""Good clients that the judge must accuse of nothing, and popular libraries that show what they cannot do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parents[1] / "good_clients"


@dataclass(frozen=True)
class GoodClient:
    """A client of this repository: how it is started, and what it claims."""

    name: str
    description: str
    command: Callable[[], list[str]]
    options: tuple[str, ...] = ("--claim", "all")
    program: str = ""
    #: The package of npm that it is about, for a library that shows what it cannot do.
    package: str = ""

    def is_there(self) -> bool:
        """Whether what it needs is installed."""
        return not self.program or shutil.which(self.program) is not None


def go_client() -> list[str]:
    """Build the client in Go, and return its command."""
    built = ROOT / "build/go-client"
    built.parent.mkdir(exist_ok=True)
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    subprocess.run(
        ["go", "build", "-o", built, "."],
        cwd=FOLDER / "go_client",
        env={**os.environ, **environment},
        check=True,
    )
    return [str(built)]


GOOD_CLIENTS = (
    GoodClient(
        "javascript",
        "`clients/javascript` in Node",
        lambda: ["node", "--experimental-websocket", str(FOLDER / "javascript.mjs")],
        program="node",
    ),
    GoodClient(
        "python",
        "`clients/python`, of which `runwire try` is made",
        lambda: [sys.executable, str(FOLDER / "python.py")],
    ),
    GoodClient("go", "a client in Go, written from the specification", go_client, program="go"),
)

#: Popular libraries as their documentation says: what is accused is what such a client cannot do.
LIBRARIES = tuple(
    GoodClient(
        file,
        f"`{package}`, used as its documentation says",
        lambda file=file: ["node", str(FOLDER / f"{file}.mjs")],  # type: ignore[misc]
        ("--claim", "resumes", "--transport", "sse"),
        "npm",
        package,
    )
    for file, package in (
        ("eventsource", "eventsource@4"),
        ("fetch_event_source", "@microsoft/fetch-event-source@2"),
    )
)
