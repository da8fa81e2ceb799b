"""An event loop whose time jumps to whatever is planned next, so that a test of hours takes none."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Never waits: where nothing is ready, the time that there was to wait has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready."""
        ready = super().select(None if timeout is None else 0)
        if timeout is not None and not ready:
            self.now += max(0.0, timeout)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on its own time, which begins at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the time, in seconds."""
        return self._jumping.now


def virtual_time(play: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make of a coroutine function a test that is played in virtual time."""

    @functools.wraps(play)
    def played(*arguments: P.args, **options: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(play(*arguments, **options))

    return played
