"""Client process: started by a command, with parameters in its environment."""

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from runwire_conformance.tools.check_client.client_under_test.launch_parameters import LaunchParameters
from runwire_conformance.tools.check_client.client_under_test.reports import NoReport, report_in
from runwire_conformance.tools.check_client.wire_log import WireLog

#: Seconds that a client is given to end when it is told to.
END_S = 1.0

#: The longest line of a client that is read, and how many of its last lines on standard error are told.
MOST_LINE = 1 << 20
LAST_LINES = 6


class Unstartable(Exception):
    """The command of the client cannot be started; the message says why and what to do."""


class LaunchedClient(Protocol):
    """A client in one play."""

    @property
    def ended(self) -> int | None:
        """How it ended: an exit code, None while it lives."""

    @property
    def complaint(self) -> str:
        """What it said last of what went wrong."""

    @property
    def misreported(self) -> str:
        """What of its output wanted to be a report and was none."""

    async def stop(self) -> None:
        """End it."""


class Process:
    """A client that runs as a process, in a group of its own, so that what it starts ends with it."""

    def __init__(self, process: asyncio.subprocess.Process, log: WireLog) -> None:
        self._process = process
        self._log = log
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._misreported = ""
        self._reading = [
            asyncio.create_task(self._read(process.stdout, self._said)),
            asyncio.create_task(self._read(process.stderr, self._lines.append)),
        ]
        self._waiting = asyncio.create_task(self._wait())

    @classmethod
    async def start(cls, command: Sequence[str], told: LaunchParameters, log: WireLog) -> "Process":
        """Start a client; raises Unstartable."""
        words = told.command(command)
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                env={**os.environ, **told.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=MOST_LINE,
            )
        except OSError as problem:
            hint = "" if shutil.which(words[0]) else "; is it installed, and is the path correct?"
            raise Unstartable(f"cannot start {words[0]}: {problem.strerror}{hint}") from None
        return cls(process, log)

    @property
    def ended(self) -> int | None:
        """The exit code, None while it lives or something of its output is not read yet."""
        return self._process.returncode if all(task.done() for task in self._reading) else None

    @property
    def complaint(self) -> str:
        """The last lines of standard error."""
        return "\n".join(self._lines)

    @property
    def misreported(self) -> str:
        """The first line that wanted to be a report and was none, and why."""
        return self._misreported

    async def stop(self) -> None:
        """End it, and all that it started."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            pass
        self._signal(signal.SIGKILL)
        await self._process.wait()
        # Its pipes are read to their ends, or the loop would be closed over them; a process that left its group and
        # still holds one is not waited for.
        await asyncio.wait([*self._reading, self._waiting], timeout=END_S)
        for task in (*self._reading, self._waiting):
            task.cancel()
        await asyncio.gather(*self._reading, self._waiting, return_exceptions=True)
        await asyncio.sleep(0)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    async def _wait(self) -> None:
        code = await self._process.wait()
        self._log.note("exit", code=code)

    async def _read(self, stream: asyncio.StreamReader | None, take: Callable[[str], None]) -> None:
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than anyone reads
                continue
            if not line:
                return
            take(line.decode("utf-8", "replace").rstrip("\r\n"))

    def _said(self, line: str) -> None:
        try:
            report = report_in(line)
        except NoReport as problem:
            self._misreported = self._misreported or f"{line[:80]}: {problem}"
            return
        if report is not None:
            self._log.note("report", **report)
