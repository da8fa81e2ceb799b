"""What the tests share: programs that must be there, and a reference server to talk to."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from check_reference_server import command, listening
from patience import patience

#: Where Debian has programs of the system, which are not on everybody's path.
SYSTEM = "/usr/sbin:/sbin"


def require_program(name: str, apt: str) -> str:
    """Return the path of a program; without it the test is skipped, and fails under CI=true."""
    if path := shutil.which(name) or shutil.which(name, path=SYSTEM):
        return path
    message = f"{name} is missing; on Debian: apt-get install {apt}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The URL of a reference server with the script agent and short timings."""
    server = subprocess.Popen(command(), stdout=subprocess.PIPE, text=True)
    yield listening(server)
    server.terminate()
    server.wait(patience(10))
    assert server.stdout is not None
    server.stdout.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Tests marked `anyio` are coroutines on asyncio."""
    return "asyncio"
