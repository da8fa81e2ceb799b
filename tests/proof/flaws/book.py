"""What passed through a proxy so far: the logs of all runs, as the server told them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

KEPT_EVENTS = 5000

Message = dict[str, Any]


@dataclass(slots=True)
class Book:
    """The runs that the proxy saw, by `run_id`."""

    logs: defaultdict[str, dict[int, Message]] = field(default_factory=lambda: defaultdict(dict))
    starts: dict[str, Message] = field(default_factory=dict)
    """The body each named run was started with."""
    finished: set[str] = field(default_factory=set)

    def top(self, run_id: str) -> int:
        """Return the highest `seq` seen of a run, 0 for none."""
        return max(self.logs[run_id], default=0)

    def policy(self, run_id: str) -> str:
        """Return the `on_disconnect` that a run was started with."""
        return str(self.starts.get(run_id, {}).get("on_disconnect", "grace"))

    def prompt(self, run_id: str) -> str:
        """Return the prompt of a run, empty when it did not pass here."""
        return str(self.starts.get(run_id, {}).get("prompt", ""))

    def heard(self, message: Message) -> None:
        """Note a message of a client, or the body of a request."""
        run_id = message.get("run_id")
        if message.get("type", "start") == "start" and isinstance(run_id, str):
            self.starts.setdefault(run_id, message)

    def said(self, message: Message) -> None:
        """Note a message of the server."""
        run_id, seq = message.get("run_id"), message.get("seq")
        if not isinstance(run_id, str) or not isinstance(seq, int):
            return
        if len(self.logs[run_id]) < KEPT_EVENTS:
            self.logs[run_id][seq] = message
        if message.get("type") in {"done", "error"}:
            self.finished.add(run_id)
