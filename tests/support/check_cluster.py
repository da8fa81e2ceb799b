"""Starts three nodes of the reference server on one Redis and judges them as one server."""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support.check_reference_server import (
    BIN,
    BUILD,
    CREDENTIAL_OPTIONS,
    command,
    credentials,
    hooks,
    listening,
)
from tests.support.redis_stand import RedisStand

#: Beside CHECK_LIMITS: on a busy machine three nodes, a Redis and the judge share its processors.
LIMITS = {"idle_s": 8, "log_bytes": 1_000_000, "pong_timeout_s": 2, "run_s": 10, "worker_lost_s": 6}


def main() -> int:
    """Judge the nodes; return the judge's exit code."""
    BUILD.mkdir(exist_ok=True)
    environment = {**os.environ, **credentials()}
    with ExitStack() as stack:
        redis = RedisStand(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.callback(redis.kill)
        call = [*command(**LIMITS), *CREDENTIAL_OPTIONS, f"--redis={redis.url}"]
        nodes = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
        for node in nodes:
            stack.callback(node.wait, 10)
            stack.callback(node.kill)
        first, *others = map(listening, nodes)
        config = BUILD / "check_cluster.toml"
        text = hooks(drain=f"kill -TERM {nodes[0].pid}", kill=f"kill -KILL {nodes[-1].pid}", urls=others)
        config.write_text(text, encoding="utf-8")
        report = BUILD / "report_cluster"
        judge = [str(BIN / "runwire"), "check", first, f"--config={config}", f"--report={report}"]
        judge.append("--patience=60")  # which lengthens the suite's time as well, where it is needed
        return subprocess.run([*judge, *sys.argv[1:]], check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
