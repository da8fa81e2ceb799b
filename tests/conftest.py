"""What the tests share: programs that must be there, and a reference server to talk to."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.support.check_reference_server import command, listening
from tests.support.patience import patience

#: Modules of minutes. They begin first; those whose tests share nothing have them played by whichever worker is free.
LONG = ("test_every_page.py", "test_cluster_check.py", "test_proxies.py")
LONG_AND_DIVISIBLE = (
    "test_faulty_relays.py",
    "test_flawed_clients.py",
    "test_good_clients.py",
    "test_aged_connections.py",
    "test_mistakes.py",
)


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]
    """Hands out modules, and single tests of those that are long and divisible."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return nodeid if Path(path).name in LONG_AND_DIVISIBLE else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LongestFirst | None:
    """Return the scheduler for `--dist loadfile`."""
    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have long modules begin first."""
    items.sort(key=lambda item: item.path.name not in LONG + LONG_AND_DIVISIBLE)


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
