"""A command at a terminal: what a user sees there, the keys that they press, and what is left of it afterwards."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.patience import patience

#: What the key Ctrl-C sends; the terminal makes a signal of it for everybody in front of it.
CTRL_C = b"\x03"
ENTER = b"\n"


class PseudoTerminal:
    """A command whose standard streams are a terminal of its own."""

    def __init__(self, words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
        self._ours, self._theirs = os.openpty()
        self._before = termios.tcgetattr(self._theirs)
        self.shown = ""
        self._process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **variables},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def sees(self, words: str, seconds: float, times: int = 1) -> None:
        """Wait until the terminal has shown some words so many times."""
        until = time.monotonic() + patience(seconds)
        while self.shown.count(words) < times:
            assert time.monotonic() < until and (self._read() or self._process.poll() is None), self.shown

    def taken(self) -> str:
        """Return what was shown since the last call."""
        shown, self.shown = self.shown, ""
        return shown

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._ours, key)

    def code(self, seconds: float) -> int:
        """Wait until the command has ended and return its exit code."""
        until = time.monotonic() + patience(seconds)
        while self._process.poll() is None:
            assert time.monotonic() < until, self.shown
            self._read()
        while self._read():
            pass
        return int(self._process.returncode)

    def is_as_before(self) -> bool:
        """Whether the terminal echoes, shows its cursor and so on, as it did before the command."""
        shown, hidden = self.shown.rfind("\x1b[?25h"), self.shown.rfind("\x1b[?25l")
        return termios.tcgetattr(self._theirs) == self._before and shown >= hidden

    def lines(self) -> list[str]:
        """Return what stands on the terminal in the end: lines written again count as they were left."""
        found = []
        for line in self.shown.replace("\r\n", "\n").split("\n"):
            left = ""
            for part in line.split("\r"):
                erased, _, rest = part.rpartition("\x1b[K")
                left = rest if erased or part.startswith("\x1b[K") else rest + left[len(rest) :]
            found.append(left)
        return found

    def close(self) -> None:
        """End the command, if it still runs, and take the terminal away."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(patience(10))
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 0.1)[0]:
            return False
        self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
        return True


@contextmanager
def pseudo_terminal(words: Sequence[str], folder: Path, **variables: str) -> Iterator[PseudoTerminal]:
    """Run a command at a terminal of its own, in a folder."""
    terminal = PseudoTerminal(words, folder, variables)
    try:
        yield terminal
    finally:
        terminal.close()
