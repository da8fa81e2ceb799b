"""Starts the clients of the proof inside the judge's own process."""

from __future__ import annotations

import asyncio
import traceback

from runwire_conformance.tools.check_client.client_under_test.launch_parameters import LaunchParameters
from runwire_conformance.tools.check_client.client_under_test.process import LaunchedClient
from runwire_conformance.tools.check_client.client_under_test.reports import checked
from runwire_conformance.tools.check_client.wire_log import WireLog
from tests.proof.clients.careful import Client


class InProcess:
    """A client as a task, with what a process has."""

    misreported = ""

    def __init__(self, client: Client) -> None:
        self.complaint = ""
        self._task = asyncio.create_task(client.run())

    @property
    def ended(self) -> int | None:
        """0 or 1 when it has ended, 1 for one that failed."""
        if not self._task.done():
            return None
        if not self._task.cancelled() and (problem := self._task.exception()) is not None:
            self.complaint = "".join(traceback.format_exception(problem)[-6:])
            return 1
        return 0

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def launcher(kind: type[Client]):  # type: ignore[no-untyped-def]
    """Return what starts clients of a kind."""

    async def launch(told: LaunchParameters, log: WireLog) -> LaunchedClient:
        def report(**members: object) -> None:
            if kind.reports:
                log.note("report", **checked(members))

        return InProcess(kind(told.values, report))

    return launch
