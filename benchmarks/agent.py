"""The agent of this repository's server that does the work."""

from collections.abc import AsyncIterator
from typing import Any

from benchmarks.work import TEXT, tokens
from runwire_reference_server.agents import Task, token


class Tokens:
    """Says as many tokens as it is asked for."""

    async def run(self, task: Task) -> AsyncIterator[Any]:
        """Yield them."""
        async for _ in tokens(task.prompt):
            yield token(TEXT)
