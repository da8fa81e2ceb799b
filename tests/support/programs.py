"""Programs and packages that must be there."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

#: Where Debian has programs of the system, which are not on everybody's path.
SYSTEM = "/usr/sbin:/sbin"


def require_program(name: str, apt: str) -> str:
    """Return the path of a program; without it the test is skipped, and fails under CI=true."""
    if path := shutil.which(name) or shutil.which(name, path=SYSTEM):
        return path
    unavailable(f"{name} is missing; on Debian: apt-get install {apt}")


def unavailable(message: str) -> NoReturn:
    """Skip the test, which lacks what the message says; under CI=true it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def installing_into(folder: Path) -> Iterator[None]:
    """Have nobody else install into a folder meanwhile, nor take for whole what is not: who comes second waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
