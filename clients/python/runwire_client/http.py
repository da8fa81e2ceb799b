"""A run over plain HTTP: a stream of server-sent events, and polling where a proxy gathers it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import httpx2

from runwire_client.event_reader import EventReader
from runwire_client.problem import RunwireError, json_object
from runwire_client.retry import Next, Retry
from runwire_client.server import ANSWER_S, FAULTS

if TYPE_CHECKING:
    from runwire_client.session import Session

#: Seconds for the first byte of a stream (chapter 9, "Falling back"), between two looks, and for a page of the log.
OPEN_S = 5.0
POLL_S = 1.0
PAGE_S = 20.0

UNFINISHED = frozenset({"queued", "running", "waiting"})


async def over_http(session: Session) -> Next:
    """Follow the run of `session` until the response ends, and return how to go on."""
    session.server.endpoint("runs")
    return await _Stream(session).follow()


class _Stream:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._heard = asyncio.Event()
        self._answered = False

    async def follow(self) -> Next:
        """Read the stream, and look at the run beside it while no byte comes."""
        log = self._session.log
        reading = asyncio.create_task(self._read())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            return await reading
        except (RunwireError, *FAULTS) as problem:
            if isinstance(problem, RunwireError) and problem.code == "not_found" and log.accepted:
                log.lost()
            elif isinstance(problem, RunwireError) or not self._answered:
                raise
            return Next(str(problem) or type(problem).__name__, at_once=True)  # [SSE-23]
        finally:
            reading.cancel()
            watching.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)

    def _open(self) -> AbstractAsyncContextManager[httpx2.Response]:
        session, server, log = self._session, self._session.server, self._session.log
        headers = {"Accept": "text/event-stream"}
        if log.is_there:
            url = server.run_url(log.id, "/events")
            if log.epoch is not None:
                headers["Last-Event-ID"] = f"{log.epoch}.{log.cursor}"  # [RESUME-22]
            session.wire("→", f"GET {url} {headers.get('Last-Event-ID', '')}")
            return server.request(url, headers=headers)
        url, body = server.endpoint("runs"), server.checked(json.dumps(log.body))
        session.wire("→", f"POST {url} {body}")
        session.started = True
        return server.request(url, method="POST", body=body, headers=headers)  # [FALL-1]

    async def _read(self) -> Next:
        session, log = self._session, self._session.log
        async with self._open() as response:
            self._answered = True
            if response.status_code == 202:
                log.accept(json_object(await response.aread()) or {})
                return Next(at_once=True)
            if response.status_code == 204:
                raise RunwireError("the run has ended, and its end was not shown")  # [SSE-17]
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind != "text/event-stream":
                raise RunwireError("the answer is no event stream", retryable=True)
            events, loop = EventReader(), asyncio.get_running_loop()
            async with asyncio.timeout(None) as silence:
                async for data in response.aiter_raw():
                    self._heard.set()
                    silence.reschedule(loop.time() + session.server.silence_s)  # [BEAT-11]
                    for text in events.feed(data):
                        session.wire("←", text)
                        again = log.read(text)
                        if session.over:
                            return Next()
                        if again:
                            return Next("an event is missing", at_once=True)  # [RESUME-21]
        return Next("the stream ended", at_once=True)  # [SSE-23]

    async def _watch(self) -> None:
        """Poll while no byte came; raises RunwireError to give the stream up, TimeoutError for a silent one."""
        try:
            async with asyncio.timeout(OPEN_S):
                await self._heard.wait()
        except TimeoutError:
            if not self._session.log.whole:
                await self._poll()  # [FALL-3]
                return
            async with asyncio.timeout(self._session.server.silence_s):
                await self._heard.wait()

    async def _poll(self) -> None:
        """Look at the run again and again until a byte comes: a proxy gathers the stream (chapter 9, step 3)."""
        log, server, retry = self._session.log, self._session.server, Retry()
        begun = time.monotonic()
        while not self._heard.is_set():
            asked, before = time.monotonic(), log.cursor
            wait = POLL_S
            try:
                await (self._read_page() if "poll" in server.features else self._read_status())
                # A page that is empty was waited for.
                wait = (0.0 if log.cursor > before else POLL_S) - (time.monotonic() - asked)
            except RunwireError as problem:
                patient = time.monotonic() - begun < server.silence_s
                under_way = problem.code == "not_found" and not log.accepted and patient
                if not (under_way or problem.retryable):
                    raise
                wait += retry.delay(0, least_s=problem.retry_after_s)
            except FAULTS:
                wait += retry.delay(0)
            if log.whole or self._session.over:
                raise RunwireError("the run has ended", retryable=True)
            await asyncio.sleep(max(wait, 0.0))

    async def _read_page(self) -> None:
        """Read on in the log, where the server lets one poll it."""
        log, server = self._session.log, self._session.server
        wait = min(PAGE_S, server.silence_s / 3)
        after = log.cursor if log.epoch is None else f"{log.epoch}.{log.cursor}"
        url = server.run_url(log.id, f"/events?after={after}&wait={wait:g}")
        headers = {"Accept": "application/json"}
        page = await server.json(url, headers=headers, within_s=wait + ANSWER_S)
        log.accept(page, "polling")
        events: Any = page.get("events")
        for event in events if isinstance(events, list) else ():
            if not isinstance(event, dict) or log.receive(event) or self._session.over:
                break

    async def _read_status(self) -> None:
        """Read the text of the run; once it has ended its whole log is there, in a stream that ends."""
        log, server = self._session.log, self._session.server
        run = await server.json(server.run_url(log.id))
        seq = run.get("seq")
        log.polled(seq if isinstance(seq, int) else 0, str(run.get("text") or ""))
        log.accept(run, "polling")
        log.whole = run.get("status") not in UNFINISHED
