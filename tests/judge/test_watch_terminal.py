"""`runwire check --watch` at a terminal, with a server that goes, comes back mended, and a user who has enough."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.check_reference_server import command, listening
from tests.support.commands import RUNWIRE, closed_port
from tests.support.example_stand import EXAMPLES
from tests.support.patience import patience
from tests.support.pseudo_terminal import CTRL_C, ENTER, PseudoTerminal, pseudo_terminal

pytestmark = pytest.mark.whole

#: Two sentences that a server of twenty lines keeps, and one that it breaks.
ASKED = "CONN-6,MSG-3,CLOSE-2"

#: The case in which that shows.
FAILED = "errors::a_bad_message_is_answered_with_a_registered_code"

WAITS = "when the server restarts or you press Enter; Ctrl-C ends"


@contextmanager
def serving(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield server
    finally:
        server.terminate()
        server.wait(patience(20))
        assert server.stdout is not None
        server.stdout.close()


@contextmanager
def flawed(port: int) -> Iterator[None]:
    """Serve what breaks CLOSE-2."""
    uvicorn = [sys.executable, "-m", "uvicorn", "twenty_lines:app", "--app-dir", str(EXAMPLES)]
    with serving([*uvicorn, f"--port={port}", "--log-level=error"]):
        yield


@contextmanager
def mended(port: int) -> Iterator[None]:
    """Serve what breaks nothing."""
    with serving([*command(), f"--port={port}"]) as server:
        listening(server)
        yield


@contextmanager
def watching(port: int, folder: Path, *options: str) -> Iterator[PseudoTerminal]:
    """Watch what serves at a port."""
    words = [RUNWIRE, "check", f"localhost:{port}", "--watch", *options]
    with pseudo_terminal(words, folder, XDG_CACHE_HOME=str(folder / "cache")) as terminal:
        yield terminal


def test_only_what_failed_is_played_again_and_ctrl_c_ends(tmp_path: Path) -> None:
    port = closed_port()
    with watching(port, tmp_path, f"--requirement={ASKED}") as terminal:
        with flawed(port):
            terminal.sees("will play the failed cases again " + WAITS, 60)
        first = terminal.taken()
        with mended(port):
            terminal.sees("will play all cases again " + WAITS, 60)
        second = terminal.taken()
        with mended(port):
            terminal.sees("will play all cases again " + WAITS, 60)
            third = terminal.taken()
            terminal.press(ENTER)
            terminal.sees("will play all cases again " + WAITS, 60)
            terminal.press(CTRL_C)
            code = terminal.code(20)
        before = terminal.is_as_before()

    assert "[CLOSE-2]" in first and "Judged 3 of 3, 1 broken" in first
    assert f"in {FAILED}" in first
    assert "1 case, about" in second and FAILED in second
    assert "CLOSE-2" not in second.partition("Judged ")[0] and "none broken" in second
    assert "1 case" not in third and "Judged 3 of 3, none broken" in third
    assert (code, before) == (130, True)


def test_ctrl_c_during_a_round_tells_what_was_judged_and_ends(tmp_path: Path) -> None:
    port = closed_port()
    with mended(port), watching(port, tmp_path) as terminal:
        terminal.sees(" of 5", 60, times=4)
        terminal.press(CTRL_C)
        code = terminal.code(60)
        before = terminal.is_as_before()
        lines = terminal.lines()

    assert code == 130, terminal.shown
    assert any("interrupted" in line for line in lines), lines
    assert lines[-1] == "" and not any("left ·" in line for line in lines[-3:]), lines
    assert before


def test_a_server_that_is_not_ready_yet_does_not_end_the_watch(tmp_path: Path) -> None:
    port = closed_port()
    with watching(port, tmp_path, f"--requirement={ASKED}") as terminal:
        with flawed(port):
            terminal.sees("will play the failed cases again " + WAITS, 60)
        terminal.taken()
        with serving([sys.executable, "-m", "http.server", str(port), "--bind=127.0.0.1"]):
            terminal.sees("will play the failed cases again " + WAITS, 60)
        assert "not a Runwire server" in terminal.taken()
        with mended(port):
            terminal.sees("will play all cases again " + WAITS, 60)
        again = terminal.taken()
        terminal.press(CTRL_C)
        code = terminal.code(20)

    assert "1 case, about" in again
    assert code == 130
