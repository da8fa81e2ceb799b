"""Following a run in a terminal: status messages, and the decision to give up."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from runwire_client import Run, RunwireError
from runwire_conformance.client.discovery.diagnosis import NoRunwireServer, NotHttp
from runwire_conformance.client.discovery.locate import ServerUnusable, locate
from runwire_conformance.client.target import Options

Message = Mapping[str, Any]

#: Attempts in a row without a single new event before the command gives up.
MOST_ATTEMPTS = 8

#: Shorter waits in seconds are not told.
TOLD_S = 1.0


class GaveUp(Exception):
    """The run cannot be followed any further; the message says why and what to do."""


class Display(Protocol):
    """What shows a run to its user."""

    def event(self, message: Message) -> None:
        """Show an event of the run."""

    def control(self, message: Message) -> None:
        """Take note of a notice, or of the refusal of an answer: `code`, `data`, and the `request_id` of an answer."""

    def note(self, text: str) -> None:
        """Say something about the connection."""


async def begun(url: str, prompt: str, options: Options, display: Display) -> Run:
    """Find the server and start a run there, whose way `display` is told of; raises GaveUp."""
    try:
        found = await locate(url, options)
    except (NoRunwireServer, ServerUnusable, NotHttp) as problem:
        raise GaveUp(str(problem)) from None
    has_document = found.discovery is not None and not url.startswith("ws")
    run = Run(
        prompt,
        discovery=str(found.discovery_url) if has_document else found.websocket_url,
        token=options.token,
        headers=dict(options.headers),
        tls=options.tls,
    )
    run.on("event", display.event)
    run.on("notice", display.control)
    run.on("anew", lambda _: display.note("the server no longer has the log; starting again"))
    run.on("state", _Way(run, display.note).state)
    return run


async def ended(run: Run) -> Message:
    """Wait for the end of a run and return its terminal; raises GaveUp."""
    await run.finished
    if run.ended is not None:
        return run.ended
    raise GaveUp(_advice(run.failure))


def _advice(failure: RunwireError | None) -> str:
    """Return what a failure to follow a run says to a person."""
    if failure is None:
        return f"gave up after {MOST_ATTEMPTS} attempts in a row without progress"
    said = str(failure)
    if said.startswith("closed with 41"):
        return "the credential has expired; run again with a new --token"
    if said.startswith("closed with"):
        return f"the server {said} and asks not to retry"
    if failure.code == "unauthorized":
        return f"the server refuses this caller ({said}); give a credential with --token or --header"
    if failure.status or failure.code not in {"unsupported", "payload_too_large"}:
        return f"refused with {failure.code}: {said}"
    return said


class _Way:
    """Tells how a run gets on between its events, and leaves it where nothing new comes."""

    def __init__(self, run: Run, note: Callable[[str], None]) -> None:
        self._run = run
        self._note = note
        self._transport = run.transport
        self._polled = False
        self._cursor = 0
        self._attempts = 0

    def state(self, detail: Message) -> None:
        """Take note of a change of the connection."""
        kind = detail["state"]
        if kind == "polling" and not self._polled:
            self._polled = True
            self._note("a proxy buffers the stream; polling instead")
        if kind not in {"reconnecting", "offline"}:
            return
        self._note(self._told(detail))
        self._attempts = 0 if self._run.cursor > self._cursor else self._attempts + 1
        self._cursor = self._run.cursor
        if self._attempts >= MOST_ATTEMPTS:
            self._run.leave()

    def _told(self, detail: Message) -> str:
        why = detail["detail"] or "the connection ended"
        if self._run.transport != self._transport:
            self._transport = self._run.transport
            return f"{why}; falling back to an event stream"
        wait = detail.get("wait_s", 0.0)
        later = f", in {wait:.0f} s" if wait > TOLD_S else ""
        return f"{why}; resuming after {self._run.cursor}{later}"
