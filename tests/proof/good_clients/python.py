"""The Python client, of which `runwire try` is made, as `runwire check-client` wants it: it reports what it shows."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, cast
from urllib.request import urlopen

from runwire_client import Run
from runwire_client.options import Transport


class Call:
    """What a page would show of one call."""

    def __init__(self) -> None:
        self.called = False
        self.result: Any = None

    def take(self, message: dict[str, Any]) -> None:
        """Show an event of the call."""
        if message["type"] == "tool_call":
            self.called = True
        elif message["type"] == "observation":
            partial = message.get("partial")
            self.result = (self.result or "") + message["content"] if partial else message["content"]


def report(**shown: Any) -> None:
    """Report what is shown."""
    print(json.dumps({"runwire": shown}), flush=True)


def new_token() -> str:
    """Return a token in place of one that was refused."""
    with urlopen(os.environ["RUNWIRE_TOKEN_URL"]) as answer:
        return str(json.load(answer)["token"])


async def token(refused: str | None) -> str:
    """Return the token to use."""
    return os.environ["RUNWIRE_TOKEN"] if refused is None else await asyncio.to_thread(new_token)


async def main() -> None:
    """Follow one run to its end."""
    calls: dict[str, Call] = {}
    run = Run(
        os.environ["RUNWIRE_PROMPT"],
        discovery=os.environ["RUNWIRE_URL"],
        transport=cast(Transport, os.environ.get("RUNWIRE_TRANSPORT") or "auto"),
        token=token if os.environ.get("RUNWIRE_TOKEN") else None,
    )

    def event(message: dict[str, Any]) -> None:
        if "call_id" in message:
            calls.setdefault(message["call_id"], Call()).take(message)
        if message["type"] == "token" and os.environ.get("RUNWIRE_ACT") == "cancel":
            run.cancel()
        shown = {name: call.result if call.called else None for name, call in calls.items()}
        report(text=run.text, calls=shown)

    run.on("anew", lambda _: report(text=""))
    run.on("event", event)
    await run.finished
    if run.ended is None:
        report(gave_up=str(run.failure or "left"))
        return
    ended: dict[str, Any] = dict(run.ended)
    code = {"code": ended["code"]} if "code" in ended else {}
    report(ended="failed" if ended["type"] == "error" else ended.get("status", "completed"), **code)


asyncio.run(main())
