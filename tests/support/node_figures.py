"""What a node of a cluster holds: memory, files, what its metrics say, and what stays in Redis."""

import os
import urllib.request
from pathlib import Path

from tests.support.cluster_stand import Cluster, Node
from tests.support.patience import patience


def memory(node: Node) -> int:
    """Return the bytes that a node's process has in memory."""
    pages = int(Path(f"/proc/{node.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(node: Node) -> int:
    """Return how many files and sockets a node's process has open."""
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def gauges(node: Node) -> dict[str, float]:
    """Return what a node has open, as its metrics say."""
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=patience(20)) as response:
        lines = response.read().decode().splitlines()
    told = [
        line.rsplit(" ", 1)
        for line in lines
        if line.startswith(("runwire_connections", "runwire_runs_active"))
    ]
    return {name: float(value) for name, value in told}


def kept_for_ever(cluster: Cluster) -> list[str]:
    """Return the keys that do not expire."""
    script = (
        "local kept = {} "
        "for _, name in ipairs(redis.call('KEYS', '*')) do "
        "  if redis.call('PTTL', name) < 0 then table.insert(kept, name) end "
        "end "
        "return kept"
    )
    return sorted(cluster.redis.command("EVAL", script, "0").split("\n"))
