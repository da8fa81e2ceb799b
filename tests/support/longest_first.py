"""Distribution of tests to workers, so that the last to end is not one that began last."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadFileScheduling

#: Modules of minutes, which begin first; of the second kind, whose tests share nothing, any worker takes single tests.
LONG = frozenset({"test_cluster_check.py", "test_every_page.py", "test_proxies.py"})
LONG_AND_DIVISIBLE = frozenset(
    {
        "test_aged_connections.py",
        "test_faulty_relays.py",
        "test_flawed_clients.py",
        "test_good_clients.py",
        "test_mistakes.py",
    }
)


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]
    """Hands out modules, and single tests of those that are long and divisible."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return nodeid if Path(path).name in LONG_AND_DIVISIBLE else path
