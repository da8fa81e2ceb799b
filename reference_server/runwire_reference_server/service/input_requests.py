"""Input requests: pending questions of a run's agent, and validation of answers (chapter 10)."""

import asyncio
import datetime
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from runwire_reference_server.agents import AgentError, Answer
from runwire_reference_server.agents.forms import BadForm, check_form, fits_form
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.refusal import RunNotFound
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Store, StoreGone

#: Seconds after which a closing is looked for without a hint ([NODE-8]).
LOOK_S = 1.0

_TYPES: Mapping[str, type] = {"approval": bool, "question": str, "form": dict}


async def fits(request: Event, answer: Any) -> bool:
    """Whether `answer` is what the `input_request` asks for ([INPUT-11])."""
    if not isinstance(answer, _TYPES[request["kind"]]):
        return False
    return request["kind"] != "form" or await fits_form(request["schema"], answer)


class InputRequests:
    """The input requests of one run, for the worker that opens them and the agent that waits for them."""

    def __init__(self, store: Store, key: RunKey, most_s: float, on_waiting: Callable[[bool], None]) -> None:
        """`most_s` is the limit `input_s`; `on_waiting` is told when the run begins and ceases to wait."""
        self._store = store
        self._key = key
        self._most_s = most_s
        self._on_waiting = on_waiting
        self._open: dict[str, asyncio.Future[Answer]] = {}
        self._closed: dict[str, Answer] = {}
        self._wake = asyncio.Event()
        self._expiries: list[asyncio.TimerHandle] = []
        self._due: set[str] = set()
        self._following: asyncio.Task[None] | None = None

    async def prepared(self, event: Event) -> tuple[Event, float]:
        """Return the `input_request` to append and the seconds it may be open; raises AgentError ([INPUT-2])."""
        event = dict(event)
        seconds = min(event.pop("expires_in_s", None) or self._most_s, self._most_s)
        identifier = event["request_id"]
        if identifier in self._open or identifier in self._closed:
            raise AgentError("agent_error", "an agent used a request_id twice")  # [INPUT-19]
        if event["kind"] == "form":
            try:
                await check_form(event.get("schema"))
            except BadForm as reason:
                raise AgentError(reason.code, f"an agent made a bad form: {reason}") from None
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        expires_at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")  # [INPUT-3]
        return event | {"expires_at": expires_at}, seconds

    def opened(self, event: Event, seconds: float) -> None:
        """Note that the request was appended."""
        loop = asyncio.get_running_loop()
        if not self._open:
            self._on_waiting(True)
        self._open[event["request_id"]] = loop.create_future()
        self._expiries.append(loop.call_later(seconds, self._expire, event["request_id"]))
        if self._following is None or self._following.done():
            self._following = loop.create_task(self._follow())

    async def answer(self, request_id: str) -> Answer:
        """Wait until the request is closed; raises KeyError for one that was never opened."""
        return self._closed[request_id] if request_id in self._closed else await self._open[request_id]

    async def none_open(self) -> None:
        """Wait until no request is open."""
        while self._open:
            await asyncio.wait(self._open.values())

    async def withdraw(self, request_id: str) -> None:
        """Close a request that is no longer needed."""
        await self._store.close_input(self._key, request_id, "withdrawn")

    def stop(self) -> None:
        """Forget everything; the run's end made what is open void ([INPUT-14])."""
        for expiry in self._expiries:
            expiry.cancel()
        if self._following is not None:
            self._following.cancel()

    def _expire(self, request_id: str) -> None:
        self._due.add(request_id)
        self._wake.set()

    async def _follow(self) -> None:
        """Look for closings while anything is open."""
        try:
            feed = self._store.watch(self._key, self._wake.set)
        except RunNotFound:
            return
        try:
            while self._open:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()
                self._wake.clear()
                while self._due:
                    await self._store.close_input(self._key, self._due.pop(), "expired")  # [INPUT-8]
                for request_id in tuple(self._open):
                    state = await self._store.input_state(self._key, request_id)
                    if state is not None and state.outcome is not None:
                        self._close(request_id, Answer(state.outcome, state.answer))
        except (RunNotFound, StoreGone):
            return
        finally:
            feed.leave(self._wake.set)

    def _close(self, request_id: str, answer: Answer) -> None:
        self._closed[request_id] = answer
        self._open.pop(request_id).set_result(answer)
        if not self._open:
            self._on_waiting(False)
