"""Programs that must be there."""

import os
import shutil

import pytest

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
