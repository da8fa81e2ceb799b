"""The Python client, which `runwire try` uses, as `runwire check-client` wants it: it reports what it shows."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from runwire_conformance.client.target import Options
from runwire_conformance.tools.terminal.journey import GaveUp, Journey

Message = dict[str, Any]


class Reporting:
    """Shows a run by reporting it."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: dict[str, Any] = {}
        self.called: set[str] = set()
        self.journey: Journey | None = None
        self.sending: asyncio.Task[str] | None = None

    def event(self, message: Message) -> None:
        """Show an event."""
        kind, call_id = message["type"], message.get("call_id")
        if kind == "token":
            self.text += message["data"]
            if os.environ["RUNWIRE_ACT"] == "cancel" and self.sending is None and self.journey is not None:
                self.sending = asyncio.create_task(self.journey.send({"type": "cancel"}))
        elif kind == "replace":
            self.text = message["data"]
        elif kind == "tool_call":
            self.called.add(str(call_id))
        elif kind == "observation":
            before = self.calls.get(str(call_id)) or "" if message.get("partial") else ""
            self.calls[str(call_id)] = before + message["content"]
        report(text=self.text, calls=self.calls)

    def control(self, message: Message) -> None:
        """Show nothing of it."""

    def note(self, text: str) -> None:
        """Show nothing of it."""


def report(**shown: Any) -> None:
    """Report what is shown."""
    print(json.dumps({"runwire": shown}), flush=True)


async def fresh_token() -> str:
    """Return a new token in place of one that expired."""
    from runwire_conformance.client.wire.http import fetch

    return str((await fetch(os.environ["RUNWIRE_TOKEN_URL"], None)).json()["token"])


async def main() -> None:
    """Follow one run to its end."""
    shown = Reporting()
    options = Options(token=os.environ["RUNWIRE_TOKEN"] or None)

    async def renew() -> Options:
        return Options(token=await fresh_token())

    shown.journey = Journey(os.environ["RUNWIRE_URL"], os.environ["RUNWIRE_PROMPT"], options, shown, renew)
    try:
        ended = await shown.journey.travel()
    except GaveUp as problem:
        report(gave_up=str(problem))
        return
    shown.calls |= {name: None for name in shown.calls if name not in shown.called}
    report(
        ended="failed" if ended["type"] == "error" else ended.get("status", "completed"), calls=shown.calls
    )


asyncio.run(main())
