"""A run from its prompt to its terminal over whatever gets through: chapter 9's way of falling back, and resuming."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from runwire_conformance.client.locate import ServerUnusable, locate
from runwire_conformance.client.reach import NoRunwireServer, Speechless
from runwire_conformance.client.target import Options, Profile
from runwire_conformance.client.wire.http import Unanswered, Unreachable, fetch
from runwire_conformance.tools.terminal.cursor import Cursor, Message, Step
from runwire_conformance.tools.terminal.links import (
    Buffered,
    EventStream,
    Link,
    LinkEnded,
    NotOpened,
    Poll,
    Socket,
    retry_after,
)

#: Full jitter: a wait is anything from nothing to a ceiling that doubles, from `FIRST_S` up to `MOST_S` ([CLOSE-7]).
FIRST_S = 0.5
MOST_S = 15.0

#: Attempts in a row without a single new event before the client gives up.
MOST_ATTEMPTS = 8

#: Close codes that say that a message of the client cannot be taken ([CLOSE-8]).
BAD_MESSAGE = frozenset({1002, 1003, 1007, 1008, 1009})


class GaveUp(Exception):
    """The run cannot be followed any further; the message says why and what to do."""


class Display(Protocol):
    """What shows a run to its user."""

    def event(self, message: Message) -> None:
        """Show an event of the run."""

    def control(self, message: Message) -> None:
        """Take note of a control message."""

    def note(self, text: str) -> None:
        """Say something about the connection."""


def back_off(attempt: int, chance: Callable[[float, float], float] = random.uniform) -> float:
    """Return the seconds to wait before attempt number `attempt`, the first being 0."""
    return chance(0.0, min(MOST_S, FIRST_S * 2.0**attempt))


class Journey:
    """One run, with the link it is followed on at the moment."""

    def __init__(
        self,
        url: str,
        prompt: str,
        options: Options,
        display: Display,
        renew: Callable[[], Awaitable[Options]] | None = None,
    ) -> None:
        """Prepare a run; `renew` returns the options with a new credential when the old one has expired."""
        self._renew = renew
        self.cursor = Cursor(prompt)
        self._url = url
        self._options = options
        self._display = display
        self._link: Link | None = None
        self._profile: Profile | None = None
        self._blocked = self._buffered = False
        self._attempt = 0
        self._unsent: list[Message] = []
        self._ids = count(1)
        self._opening_id = ""

    async def travel(self) -> Message:
        """Follow the run to its terminal and return it; raises GaveUp."""
        while self.cursor.ended is None:
            before = (self.cursor.seq, self.cursor.epoch)
            wait: float | None = 0.0
            try:
                await self._follow()
            except NotOpened as refused:
                wait = await self._refused(refused)
            except Buffered:
                self._display.note(
                    "a proxy holds the stream back; asking for the run again and again instead"
                )
                self._buffered = True
            except LinkEnded as end:
                expired = 4100 <= end.code <= 4199
                if expired and self._renew is not None:  # [CLOSE-5]
                    self._options, wait = await self._renew(), None
                else:
                    wait = self._ended(end)
                if (self.cursor.seq, self.cursor.epoch) == before:
                    wait = None  # [CLOSE-9]
            if self.cursor.ended is not None:
                break
            self._attempt = 0 if (self.cursor.seq, self.cursor.epoch) != before else self._attempt + 1
            if self._attempt >= MOST_ATTEMPTS:
                raise GaveUp(f"gave up after {MOST_ATTEMPTS} attempts in a row that brought nothing new")
            wait = back_off(self._attempt) if wait is None else wait
            if wait > 1:
                self._display.note(f"trying again in {wait:.0f} s")
            await asyncio.sleep(wait)
        return self.cursor.ended

    async def send(self, message: Message) -> str:
        """Send a `cancel` or an `input` now, or as soon as there is a link again, and return its `id`."""
        named = {**message, "id": f"m{next(self._ids)}"}
        if not self.cursor.basic:
            named["run_id"] = self.cursor.run_id
        try:
            refusal = await self._link.send(named) if self._link is not None else None
        except LinkEnded:
            refusal, self._link = None, None
        if self._link is None:
            self._unsent.append(named)
        if refusal is not None:
            self._display.control(refusal)
        return str(named["id"])

    # One link.

    async def _follow(self) -> None:
        link = await self._open()
        self._link = link
        try:
            if isinstance(link, Socket):
                self._opening_id = f"o{next(self._ids)}"
                await link.send({"id": self._opening_id, **self.cursor.opening})
            for message in self._unsent:
                await link.send(message)
            self._unsent = []
            first = True
            async for message in link.messages():
                self._take(message, basic=first and isinstance(link, Socket))
                first = False
                if self.cursor.ended is not None:
                    return
        finally:
            self._link = None
            await link.close()

    def _take(self, message: Message, *, basic: bool) -> None:
        if basic:
            self.cursor.basic = message.get("type") != "ready"  # [CONN-14]
            named = (message.get("protocol"), message.get("version"))
            if not self.cursor.basic and named != ("runwire", 1):  # [CONN-13]
                raise GaveUp(f"the server speaks {named[0]} {named[1]}, and this client runwire 1")
        if message.get("type") == "error" and "seq" not in message and not self.cursor.basic:
            self._take_refusal(message)
            return
        match self.cursor.step(message):
            case Step.SHOW:
                self._attempt = 0
                self._display.event(message)
            case Step.CONTROL:
                self._display.control(message)
            case Step.HOLE:
                raise LinkEnded(4000, f"a hole in the log after {self.cursor.seq}")
            case Step.DROP:
                pass

    def _take_refusal(self, message: Message) -> None:
        code, said = message.get("code"), message.get("data")
        if message.get("re") != self._opening_id:
            self._display.control(message)  # an answer that does not fit, or came too late, ends nothing
            return
        if code == "not_found" and self.cursor.epoch is not None:
            self._begin_anew()
            raise LinkEnded(4000)
        if message.get("retryable") is True:  # [ERR-6]
            raise LinkEnded(1013, f"refused for now: {said}")
        raise GaveUp(f"refused with {code}: {said}")

    def _begin_anew(self) -> None:
        """Forget a log that the server does not have any more, and what was shown of it ([RESUME-22])."""
        self._display.note("the server does not have the log any more; beginning anew")
        self.cursor.begin_anew()
        self._display.event({"type": "replace", "data": ""})

    # Where to go next.

    async def _open(self) -> Link:
        profile = self._profile = self._profile or await self._locate()
        options = self._options_for(profile.websocket_url)
        if not self._blocked:
            return await Socket.open(profile.websocket_url, options)
        runs = self._runs_url(profile)
        options = self._options_for(runs)
        if self._buffered:
            return Poll(runs, options, self.cursor, pages="poll" in profile.features)
        return EventStream(runs, options, self.cursor, profile.said)

    async def _locate(self) -> Profile:
        try:
            return await locate(self._url, self._options)
        except Speechless as problem:
            raise NotOpened(str(problem)) from None
        except NoRunwireServer as problem:
            raise GaveUp(str(problem)) from None
        except ServerUnusable as problem:
            raise NotOpened(str(problem)) from None

    def _options_for(self, url: str) -> Options:
        """Return the options for an endpoint: credentials go to the origin they were given for alone ([CONN-5])."""
        own = urlsplit(self._url)
        there = urlsplit(url)
        if (own.hostname, own.port) == (there.hostname, there.port):
            return self._options
        return replace(self._options, token=None, headers=())

    @staticmethod
    def _runs_url(profile: Profile) -> str:
        endpoints: Any = profile.said.get("endpoints")
        runs = endpoints.get("runs") if isinstance(endpoints, dict) else None
        return urljoin(profile.discovery_url or "", str(runs or "/v1/runs"))

    async def _refused(self, refused: NotOpened) -> float | None:
        """Return how long to wait after a link could not be opened; chapter 9, steps 2 and 3; raises GaveUp."""
        status, asked = refused.status, refused.retry_after_s
        if not self._blocked:
            answer = await self._asked_why()
            if answer is not None:
                status, asked = answer
                if status == 200:
                    return self._fallen_back(refused)
        if status == 404 and self.cursor.epoch is not None:
            self._begin_anew()
            return 0.0
        if status == 401 and self._renew is not None:
            self._options = await self._renew()
            return None
        if status in {401, 403}:
            hint = "; give a credential with --token or --header" if status == 401 else ""
            raise GaveUp(f"the server refuses this caller ({status}){hint}")
        if status in {429, 503}:
            self._display.note(f"the server is busy ({status})")
            return asked
        if refused.final or (status is not None and 400 <= status < 500):  # [ERR-6]
            raise GaveUp(str(refused))
        self._display.note(str(refused))
        return None

    async def _asked_why(self) -> tuple[int, float | None] | None:
        """Return status and `Retry-After` of the discovery document, fetched with the same credentials ([FALL-2])."""
        place = self._profile.discovery_url if self._profile is not None else None
        if place is None or self._profile is None or self._profile.discovery is None:
            return None
        try:
            response = await fetch(place, self._options.tls, headers=self._options_for(place).sent_headers)
        except (Unreachable, Unanswered):
            return None
        return response.status, retry_after(response)

    def _fallen_back(self, refused: NotOpened) -> float | None:
        if self._profile is None or "sse" not in self._profile.features:
            self._display.note(f"{refused}, and the server has no other way")
            return None
        self._display.note(f"{refused}; falling back to an event stream")
        self._blocked = True
        return 0.0

    def _ended(self, end: LinkEnded) -> float | None:
        """Return how long to wait after a link ended, by its close code (chapter 18); raises GaveUp."""
        if 4100 <= end.code <= 4199:
            raise GaveUp("the credential has expired; run again with a new --token")  # [CLOSE-5]
        if 4400 <= end.code <= 4499 or end.code in BAD_MESSAGE:
            raise GaveUp(
                f"the server closed with {end.code} and does not want to be asked again"
            )  # [CLOSE-6]
        if self.cursor.basic or (self._profile and "resume" not in self._profile.features):
            raise GaveUp(f"the connection ended ({end}), and this server cannot resume")
        self._display.note(f"{end}; resuming after {self.cursor.seq}")
        return 0.0 if 4000 <= end.code <= 4099 else None  # [CLOSE-4], [CLOSE-7]
