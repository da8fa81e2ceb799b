"""What the tests share: programs that must be there, and a reference server to talk to."""

import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.check_reference_server import command, listening
from tests.support.longest_first import LONG, LONG_AND_DIVISIBLE, LongestFirst
from tests.support.patience import patience

# No property asserts speed: neither how long an example takes nor how long it takes to be made.
settings.register_profile("runwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("runwire")


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LongestFirst | None:
    """Return the scheduler for `--dist loadfile`."""
    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have long modules begin first."""
    items.sort(key=lambda item: item.path.name not in LONG | LONG_AND_DIVISIBLE)


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
