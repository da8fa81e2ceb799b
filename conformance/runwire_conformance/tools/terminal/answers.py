"""User input during a run: answers to the agent's questions, and Ctrl-C."""

import asyncio
import json
import os
import signal
import threading
from typing import Any

from runwire_client import Run
from runwire_conformance.tools.terminal.following import Display, GaveUp, Message, ended
from runwire_conformance.trace.redaction import Redaction

YES = frozenset({"y", "yes"})
NO = frozenset({"n", "no"})

#: The longest line of an answer.
MOST_LINE = 1 << 20


class NoAnswer(Exception):
    """A line is no answer to a question; the message says what would be."""


def answer_to(request: Message, line: str) -> Any:
    """Return the `data` that answers a request (chapter 10); raises NoAnswer."""
    kind = request.get("kind")
    if kind == "question":
        return line
    if kind == "approval":
        if line.strip().lower() in YES | NO:
            return line.strip().lower() in YES
        raise NoAnswer("answer with y or n")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise NoAnswer("answer with JSON in one line") from None
    if kind == "form" and not isinstance(value, dict):
        raise NoAnswer('answer with a JSON object, such as {"name": "value"}')
    return value


class InteractiveDisplay:
    """Shows a run, and answers its questions with lines of the terminal, in the order in which they were asked."""

    def __init__(self, display: Display, redaction: Redaction | None = None) -> None:
        self._display = display
        #: What is not shown though a server repeats it.
        self._redaction = redaction or Redaction()
        self._open: dict[object, Message] = {}
        #: Requests that were answered, until the log closes them: an answer can be refused.
        self._answered: dict[object, Message] = {}
        self._asks = asyncio.Event()
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._reading = False
        self.run: Run | None = None

    def event(self, message: Message) -> None:
        """Show an event, and begin to listen when it asks something."""
        self._display.event(self._redaction.without(message))
        if message["type"] == "input_request":
            self._open[message.get("request_id")] = message
            self._asks.set()
            self._listen()
        elif message["type"] == "input_closed":
            self._close(message.get("request_id"))
            self._answered.pop(message.get("request_id"), None)

    def control(self, message: Message) -> None:
        """Hand a control message on; an answer that was refused as unfitting is asked for again."""
        self._display.control(self._redaction.without(message))
        request = self._answered.pop(message.get("request_id"), None)
        if request is not None and message.get("code") == "bad_request":
            self._open = {request.get("request_id"): request, **self._open}
            self._asks.set()

    def note(self, text: str) -> None:
        """Hand a note on."""
        self._display.note(self._redaction.masked(text))

    async def answer(self) -> None:
        """Answer questions for ever; a line that comes early waits for its question."""
        while True:
            await self._asks.wait()
            line = await self._lines.get()
            request = next(iter(self._open.values()), None)
            if request is None or self.run is None:
                continue
            try:
                data = answer_to(request, line)
            except NoAnswer as problem:
                self.note(str(problem))
                continue
            name = str(request.get("request_id"))
            self._close(name)
            self._answered[name] = request
            self.run.answer(name, data)

    def _close(self, request_id: object) -> None:
        self._open.pop(request_id, None)
        if not self._open:
            self._asks.clear()

    def _listen(self) -> None:
        if not self._reading:
            self._reading = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._read, args=(loop,), daemon=True).start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        # Plain reads: a thread that waits in a buffered one would hold its lock while the program ends.
        held = b""
        while data := os.read(0, 4096):
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(self._lines.put_nowait, line.decode(errors="replace"))
            if len(held) > MOST_LINE:
                return


async def followed(run: Run, asked: InteractiveDisplay) -> Message | None:
    """Follow a run with a user at the terminal; None when a second Ctrl-C left it. Raises GaveUp."""
    asked.run = run
    answering = asyncio.create_task(asked.answer())
    presses = 0

    def interrupted() -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            run.leave()
            return
        asked.note("stopping; Ctrl-C again to leave without waiting")
        run.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        return await ended(run)
    except GaveUp:
        if presses > 1:
            return None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        answering.cancel()
        run.leave()
        await asyncio.gather(answering, run.finished, return_exceptions=True)
