"""What the careful client knows of its run, what it says, and when it comes back."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

Message = dict[str, Any]
Report = Callable[..., None]

OPEN_S = 5.0


@dataclass
class Again:
    """The connection is over: come back, at once where the server said so and something came meanwhile."""

    at_once: bool = False


class Stop(Exception):
    """There is nothing more to do."""


class Hole(Exception):
    """An event is missing."""


class Returning(ConnectionClosed):
    """The run has to be asked for again."""

    def __init__(self) -> None:
        super().__init__(None, None)


class State:
    """One run as it is known."""

    #: Whether it reports what it shows.
    reports = True

    def __init__(self, told: Mapping[str, str], report: Report) -> None:
        self.told = told
        self.report = report
        self.run_id = secrets.token_urlsafe(16)
        self.epoch: str | None = None
        self.cursor = 0
        self.accepted = self.basic = self.cancelled = False
        self.text = ""
        self.calls: dict[str, str | None] = {}
        self.partial: set[str] = set()
        self.token = told["token"]
        self.transport = "sse" if told["transport"] == "sse" else "websocket"
        self.is_socket = told["url"].startswith("ws:")
        self.discovered: Message | None = None
        self.heartbeat_s = 15.0
        self.failures = 0
        self.furthest = 0
        self.ids = 0
        self.asked: str | None = None
        self.socket: ClientConnection | None = None
        #: Seconds that a refusal asks to wait at the least.
        self.least_s = 0.0
        if told["run"]:
            self.take_up(told["run"], *told["cursor"].split("."))

    def take_up(self, run_id: str, epoch: str, seq: str) -> None:
        """Go on with a run that somebody else began."""
        self.run_id, self.epoch, self.cursor, self.accepted = run_id, epoch, int(seq), True
        self.furthest = self.cursor

    # When to come back.

    def wait_s(self, again: Again) -> float:
        """[CLOSE-7], [CLOSE-9]: growing back-off and full jitter for whoever got no further."""
        moved = self.cursor > self.furthest
        if moved:
            self.furthest, self.failures = self.cursor, 0
        if moved and again.at_once:
            return 0.0
        self.failures += 1
        return random.uniform(0, 0.25 * 2**self.failures)

    # What it says.

    def message_id(self) -> str:
        """[MSG-32]"""
        self.ids += 1
        return str(self.ids)

    def start(self) -> Message:
        """[RUN-12], [MSG-21]"""
        return {"type": "start", "prompt": self.told["prompt"], "run_id": self.run_id}

    def resume(self) -> Message:
        """[RESUME-22]"""
        return {"type": "resume", "run_id": self.run_id, "after": self.cursor, "epoch": self.epoch}

    def opening(self) -> Message:
        """What opens the run on a connection."""
        return self.resume() if self.accepted else self.start()

    def stopped(self, why: str) -> None:
        """Give up."""
        self.report(gave_up=why)
        raise Stop
