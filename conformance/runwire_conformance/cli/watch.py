"""`runwire check --watch`: judge again after every restart of the server, failed cases first."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence

from runwire_conformance.cli.shared.waiting import listens_within

#: Seconds between two looks at whether the server is there.
LOOK_S = 0.1

#: How a judging is begun: a process of its own, as it leaves nothing behind in this one.
JUDGE = (sys.executable, "-c", "from runwire_conformance.cli import main; main()")

#: What a shell reads after Ctrl-C.
INTERRUPTED = 130


def watched(url: str, words: Sequence[str], *, rounds: int | None = None) -> int:
    """Judge by the call `words` until Ctrl-C, or so many rounds; return the last exit code. Raises ValueError."""
    listens_within(url, 0)  # or the URL is none, and is told before anything is played
    call = [word for word in words if word not in {"--watch", "--lf"}]
    failed, played = "--lf" in words, 0
    while True:
        while not listens_within(url, LOOK_S):
            pass
        code = judged([*JUDGE, *_with(call, failed)])
        played += 1
        # Later on the call is known to be right: there was only nothing to judge yet.
        if code == INTERRUPTED or played == rounds or (code == 2 and played == 1):
            return code
        failed = code == 1 or (code == 2 and failed)
        what = "the failed cases" if failed else "all cases"
        key = " or you press Enter" if _has_keys() else ""
        print(f"runwire: will play {what} again when the server restarts{key}; Ctrl-C ends", flush=True)
        while listens_within(url, 0) and not _is_pressed():
            pass


def judged(command: Sequence[str]) -> int:
    """Run one judging and return its exit code.

    Ctrl-C reaches it as well, which may take a moment to tell what it has judged so far.
    """
    interrupted = False
    with subprocess.Popen(command) as judge:
        while True:
            try:
                code = judge.wait()
            except KeyboardInterrupt:
                interrupted = True
            else:
                return INTERRUPTED if interrupted else code


def _with(call: Sequence[str], failed: bool) -> list[str]:
    """Return a call with `--lf`, in front of what is for pytest."""
    end = call.index("--") if "--" in call else len(call)
    return [*call[:end], *["--lf"] * failed, *call[end:]]


def _has_keys() -> bool:
    """Whether somebody can press Enter: a reloader that keeps its port open never seems to be gone."""
    return os.name != "nt" and sys.stdin is not None and sys.stdin.isatty()


def _is_pressed() -> bool:
    """Wait a moment; return whether Enter was pressed."""
    if not _has_keys():
        time.sleep(LOOK_S)
        return False
    return bool(select.select([sys.stdin], [], [], LOOK_S)[0] and sys.stdin.readline())
