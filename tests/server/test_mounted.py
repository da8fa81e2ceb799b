"""The server below a path: its references hold there, whether a proxy strips the path or leaves it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from runwire_reference_server.service.settings import SettingError, Settings
from tests.proof.flaws.flaw import Stand
from tests.proof.flaws.stand import start_server


@pytest.fixture(scope="module")
def mounted() -> Iterator[str]:
    """Yield the base URL of a server that is told of the path in front."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(start_server(Stand(), "--root-path=/agents/one"))
    yield server.url
    loop.run_until_complete(server.stop())
    loop.close()


@pytest.mark.parametrize("path", ["/agents/one", ""])
def test_everything_is_found_from_the_discovery_url(mounted: str, path: str) -> None:
    discovery = f"{mounted}{path}/.well-known/runwire"
    with urllib.request.urlopen(discovery) as response:
        endpoints = json.load(response)["endpoints"]

    runs = urljoin(discovery, endpoints["runs"])
    posted = urllib.request.Request(
        runs, json.dumps({"prompt": "x"}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(posted) as response:
        events, run_id = urljoin(runs, response.headers["Location"]), json.load(response)["run_id"]

    assert runs == f"{mounted}{path}/v1/runs"
    assert urljoin(discovery, endpoints["websocket"]) == f"{mounted}{path}/ws/generate"
    assert events == f"{mounted}{path}/v1/runs/{run_id}/events"


@pytest.mark.whole
def test_a_server_below_a_path_is_conformant(mounted: str) -> None:
    command = [
        str(Path(sys.executable).parent / "runwire"),
        "check",
        f"{mounted}/agents/one/.well-known/runwire",
    ]

    told = subprocess.run(
        [*command, "--requirement", "CONN-6,HTTP-4,RUN-2,SSE-3"], capture_output=True, text=True, check=False
    )

    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("path", ["agents", "/agents/", "/a b", "/", "//"])
def test_a_path_that_cannot_stand_in_front_is_refused(path: str) -> None:
    with pytest.raises(SettingError, match="--root-path must be a path such as /agents"):
        Settings(root_path=path)
