"""`runwire check --watch`: judge again whenever the server restarts, failed cases first."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from runwire_conformance.cli.waiting import listens_within

#: Seconds between two looks at whether the server is there.
LOOK_S = 0.1

#: How a judging is begun: a process of its own, as it leaves nothing behind in this one.
JUDGE = (sys.executable, "-c", "from runwire_conformance.cli import main; main()")


def watched(url: str, words: Sequence[str], *, rounds: int | None = None) -> int:
    """Judge by the call `words` until Ctrl-C, or so many rounds; return the last exit code. Raises ValueError."""
    listens_within(url, 0)  # or the URL is none, and is told before anything is played
    call = [word for word in words if word not in {"--watch", "--lf"}]
    failed, code, played = "--lf" in words, 0, 0
    while True:
        _until(lambda: listens_within(url, LOOK_S))
        code = subprocess.run([*JUDGE, *_with(call, failed)], check=False).returncode
        played += 1
        if code in {2, 130} or played == rounds:
            return code
        failed = code == 1
        what = "what failed" if failed else "everything"
        print(f"runwire: {what} is played again when the server comes back; Ctrl-C ends", flush=True)
        _until(lambda: not listens_within(url, 0))


def _with(call: Sequence[str], failed: bool) -> list[str]:
    """Return a call with `--lf`, in front of what is for pytest."""
    end = call.index("--") if "--" in call else len(call)
    return [*call[:end], *["--lf"] * failed, *call[end:]]


def _until(come: Callable[[], bool]) -> None:
    while not come():
        time.sleep(LOOK_S)
