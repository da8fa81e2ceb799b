"""Rewrites that lengthen a log, and number it anew for every reader."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from .http1 import Request, Response
from .link import Link
from .rewrite import Action, Message, Rewrite, is_event

CURSOR = re.compile(r"^(.*\.)?(\d+)$")


class Inserting(Rewrite):
    """Makes more than one event of some, consistently for all readers of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._extra: defaultdict[str, dict[int, int]] = defaultdict(dict)

    def grow(self, link: Link, event: Message) -> list[Message]:
        """Return the events that stand for `event`; `seq` is put on them by the caller."""
        raise NotImplementedError

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id", "")
        wanted = link.notes.setdefault("wanted", {})
        if message.get("type") == "resumed" and run_id in wanted:
            yield {**message, "next_seq": wanted[run_id] + 1}
        elif not is_event(message):
            yield message
        else:
            grown = self.grow(link, message)
            self._extra[run_id][message["seq"]] = len(grown) - 1
            first = message["seq"] + self._before(run_id, message["seq"])
            for seq, event in enumerate(grown, first):
                if seq > wanted.get(run_id, 0):
                    yield message if event is message and seq == message["seq"] else {**event, "seq": seq}

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        after, run_id = message.get("after"), message.get("run_id")
        resumes = message.get("type") == "resume" and type(after) is int and isinstance(run_id, str)
        if resumes and self._extra.get(run_id):
            link.notes.setdefault("wanted", {})[message["run_id"]] = after
            yield {**message, "after": self._behind(message["run_id"], after)}
        else:
            yield message

    def request(self, request: Request) -> Request | Response:
        parts = request.path.split("/")
        cursor = CURSOR.match(request.headers.get("last-event-id") or "")
        if parts[-1] != "events" or not cursor or not self._extra.get(parts[-2]):
            return request
        after = self._behind(parts[-2], int(cursor[2]))
        return replace(request.with_header("last-event-id", f"{cursor[1] or ''}{after}"))

    def _before(self, run_id: str, seq: int) -> int:
        return sum(extra for at, extra in self._extra[run_id].items() if at < seq)

    def _behind(self, run_id: str, told: int) -> int:
        """Return the highest `seq` of the server whose events all have numbers up to `told`."""
        seq = 0
        while seq + 1 + self._before(run_id, seq + 2) <= told:
            seq += 1
        return seq
