"""Input requests: pending questions of a run's agent, and validation of answers (chapter 10)."""

import asyncio
import datetime
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from runwire_reference_server.agents import AgentError, Answer
from runwire_reference_server.agents.forms import BadForm, check_form, fits_form
from runwire_reference_server.run_log.events import Event
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Store, StoreGone, follow

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
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._open: set[str] = set()
        self._wake = asyncio.Event()
        self._expiries: list[asyncio.TimerHandle] = []
        self._due: set[str] = set()
        self._following: asyncio.Task[None] | None = None

    async def prepared(self, event: Event) -> tuple[Event, float]:
        """Return the `input_request` to append and the seconds it may be open; raises AgentError ([INPUT-2])."""
        event = dict(event)
        seconds = min(event.pop("expires_in_s", None) or self._most_s, self._most_s)
        if event["request_id"] in self._answers:
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
        self._open.add(event["request_id"])
        self._answers[event["request_id"]] = loop.create_future()
        self._expiries.append(loop.call_later(seconds, self._expire, event["request_id"]))
        if self._following is None or self._following.done():
            self._following = loop.create_task(self._follow())

    async def answer(self, request_id: str) -> Answer:
        """Wait until the request is closed; raises KeyError for one that was never opened."""
        return await asyncio.shield(self._answers[request_id])

    async def none_open(self) -> None:
        """Wait until no request is open."""
        while self._open:
            await asyncio.wait([self._answers[request_id] for request_id in self._open])

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
        with suppress(StoreGone):
            await follow(self._store, self._key, self._wake, self._all_closed)

    async def _all_closed(self) -> bool:
        while self._due:
            await self._store.close_input(self._key, self._due.pop(), "expired")  # [INPUT-8]
        for request_id in tuple(self._open):
            state = await self._store.input_state(self._key, request_id)
            if state is not None and state.outcome is not None:
                self._open.remove(request_id)
                self._answers[request_id].set_result(Answer(state.outcome, state.answer))
        if not self._open:
            self._on_waiting(False)
        return not self._open
