"""Progress line: completed cases, failures, remaining time."""

import os
import time
from typing import Protocol, TextIO

from runwire_conformance.runner.forecast import Forecast, in_words
from runwire_conformance.verdict.outcome import State

#: Seconds between two lines.
PACE_S = 0.1

#: Columns of a terminal that does not say how wide it is.
COLUMNS = 80


class Progress(Protocol):
    """Follows the engine."""

    def begin(self, cases: int, expected: Forecast) -> None:
        """So many cases are going to be played, and take about so long."""

    def playing(self, case: str) -> None:
        """A case begins."""

    def replaying(self, case: str) -> None:
        """A case is played again, alone."""

    def ended(self, case: str, state: State) -> None:
        """A case has ended."""


class ProgressLine:
    """One line of a terminal, written again and again."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._cases = self._ended = self._failed = 0
        self._began = time.monotonic()
        self._expected_s = 0.0
        self._shown_at = 0.0
        self._case = ""
        self._again = False

    def connecting(self, url: str) -> None:
        """Say that the server is looked at."""
        self._write(f"connecting to {url}")

    def begin(self, cases: int, expected: Forecast) -> None:
        """Say the forecast in a line that stays."""
        self._cases, self._expected_s = cases, expected.seconds
        self._began = time.monotonic()
        hint = "; --quick skips cases that wait longer than 5 s" if expected.because else ""
        self._write("")
        counted = "1 case" if cases == 1 else f"{cases} cases"
        print(f"{counted}, {expected}{hint}", file=self._out, flush=True)

    def playing(self, case: str) -> None:
        """Show the case."""
        self._case = case
        self._show()

    def replaying(self, case: str) -> None:
        """Say that a suspicion is looked at once more."""
        self._case, self._again = case, True
        self._show()

    def ended(self, case: str, state: State) -> None:
        """Count the case."""
        self._case = case
        if not self._again:
            self._ended += 1
            self._failed += state is State.FAILED
        self._show()

    def end(self) -> None:
        """Leave nothing of the line."""
        self._write("")

    def _show(self) -> None:
        moment = time.monotonic()
        if moment - self._shown_at < PACE_S:
            return
        self._shown_at = moment
        left = self._expected_s - (moment - self._began)
        parts = [f"{self._ended} of {self._cases} played"]
        if self._failed:
            parts.append(
                f"{self._failed} suspected" if not self._again else "repeating suspected failures, alone"
            )
        if left > 1 and not self._again:
            parts.append(f"about {in_words(left)} left")
        self._write(" · ".join([*parts, self._case]))

    def _write(self, text: str) -> None:
        columns = _columns(self._out)
        print(f"\r\x1b[K{text[: columns - 1]}", end="", file=self._out, flush=True)


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or COLUMNS
    except OSError:
        return COLUMNS
