"""A node of the reference server that tells what its process holds: `python -m tests.soak.node FOLDER OPTIONS`.

On SIGUSR1 it writes the number of its tasks and of its objects that Python's garbage collector knows to
`FOLDER/PID.json`, after a collection. Everything else is the server as it is.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from runwire_reference_server.cli import main


def tell(_number: int, _frame: FrameType | None) -> None:
    """Write what the process holds."""
    gc.collect()
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # it does not serve yet, or no longer
        return
    told = FOLDER / f"{os.getpid()}.json"
    new = told.with_suffix(".new")
    new.write_text(json.dumps({"tasks": tasks, "objects": len(gc.get_objects())}), encoding="utf-8")
    new.rename(told)


if __name__ == "__main__":
    FOLDER = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, tell)
    main()
