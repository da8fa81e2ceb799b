"""The Python client, as `runwire check-client` wants it: told by the environment, reporting what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from typing import Any

from runwire_client import Run

TOLD = {
    name: os.environ[f"RUNWIRE_{name}"]
    for name in ("URL", "PROMPT", "TRANSPORT", "TOKEN", "TOKEN_URL", "ACT", "RUN")
}


def report(**shown: Any) -> None:
    """Report what is shown."""
    print(json.dumps({"runwire": shown}), flush=True)


def token(refused: str | None) -> str:
    """Return the token, or a new one in place of one that was refused."""
    if refused is None or not TOLD["TOKEN_URL"]:
        return TOLD["TOKEN"]
    with urllib.request.urlopen(TOLD["TOKEN_URL"]) as answer:
        return str(json.load(answer)["token"])


async def main() -> None:
    """Follow one run to its end."""
    prompt = None if TOLD["RUN"] else TOLD["PROMPT"]
    run = Run(
        prompt, discovery=TOLD["URL"], transport=TOLD["TRANSPORT"], token=token, run_id=TOLD["RUN"] or None
    )  # type: ignore[arg-type]
    results: dict[str, str] = {}
    called: set[str] = set()

    def shown(event: Any) -> None:
        kind, call_id = event["type"], event.get("call_id")
        if kind == "tool_call":
            called.add(call_id)
        elif kind == "observation":
            before = results.get(call_id, "") if event.get("partial") else ""
            results[call_id] = before + event["content"]
        elif kind == "tool_delta":
            results.setdefault(call_id, "")
        elif kind == "token" and TOLD["ACT"] == "cancel":
            run.cancel()
        calls = {name: text if name in called else None for name, text in results.items()}
        report(text=run.text, calls=calls)

    run.on("anew", lambda _: report(text=""))
    run.on("event", shown)
    await run.finished
    if run.ended is None:
        report(gave_up=str(run.failure))
    else:
        failed = run.ended["type"] == "error"
        report(ended="failed" if failed else run.ended.get("status", "completed"))


asyncio.run(main())
