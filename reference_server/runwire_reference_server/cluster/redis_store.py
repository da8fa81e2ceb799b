"""Run store on Redis: one stream per log, and a script with atomic steps (`redis.lua`)."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runwire_reference_server.cluster.redis_appender import RedisAppender
from runwire_reference_server.cluster.redis_feeds import RedisFeeds, entries, lines
from runwire_reference_server.cluster.redis_node import Listener, RedisNode
from runwire_reference_server.observability.tally import Tally
from runwire_reference_server.run_log.events import TERMINALS, Draft, Entry, Event, draft, encode
from runwire_reference_server.run_log.feed import Feed
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import (
    Principal,
    RunKey,
    RunRequest,
    Status,
    new_identifier,
    new_trace_id,
)
from runwire_reference_server.run_log.store import (
    BEYOND_END,
    CONFLICT,
    REMEMBERED_BYTES,
    REMEMBERED_EXCHANGES,
    RUN_BYTES,
    TOO_MANY_RUNS,
    TOO_MUCH_KEPT,
    Created,
    Exchange,
    InputState,
    Snapshot,
)

#: Bytes of a log that are read at once.
FILL_BYTES = 262_144


def owner_of(principal: Principal) -> str:
    """Return the name of a principal in keys."""
    return json.dumps([principal.issuer, principal.subject])


def _name(key: RunKey) -> str:
    return f"{owner_of(key.principal)} {key.run_id}"


def _key(name: str) -> RunKey:
    owner, _, run_id = name.rpartition(" ")
    return RunKey(Principal(*json.loads(owner)), run_id)


class RedisStore(Listener):
    """Keeps logs on Redis, finished ones for `resume_window_s` after their end ([RUN-33])."""

    def __init__(
        self, node: RedisNode, resume_window_s: float, session_s: float, grace_s: float, kept_each: int
    ) -> None:
        """`grace_s` is how long runs go on that lose their last reader together with its node.

        `kept_each` bounds what is kept for a principal when a run is created.
        """
        self._kept_each = kept_each
        self._node = node
        self._window_ms, self._session_ms, self._grace_ms = (
            int(seconds * 1000) for seconds in (resume_window_s, session_s, grace_s)
        )
        self.tally = Tally()
        self._feeds = RedisFeeds(self._fill)
        self._accepted_at: dict[str, float] = {}
        self._held: dict[str, Callable[[], None]] = {}
        self._missing: set[str] = set()
        node.listener = self

    kept_bytes = 0

    @property
    def reachable(self) -> bool:
        return self._node.id is not None

    async def create(self, principal: Principal, request: RunRequest, max_unfinished: int) -> Created:
        request = replace(request, run_id=request.run_id or new_identifier())
        assert request.run_id is not None
        key = RunKey(principal, request.run_id)
        session_id = request.session_id or new_identifier()
        lease = new_identifier()
        fields: dict[str, str | int] = {
            "body": request.body(),
            "epoch": new_identifier(),
            "grace_ms": "none" if request.on_disconnect == "continue" else self._grace_ms,
            "lease": lease,
            "prompt": request.prompt,
            "inputs": json.dumps(request.inputs),
            "named": int(request.session_id is not None),
            "request": json.dumps([request.session_id, request.on_disconnect]),
            "run_bytes": RUN_BYTES,
            "run_id": request.run_id,
            "session_id": session_id,
            "session_ms": self._session_ms,
            "trace_id": request.trace_id or new_trace_id(),
            "turn_bytes": REMEMBERED_BYTES,
            "turns": REMEMBERED_EXCHANGES,
            "window_ms": self._window_ms,
        }
        pairs = [part for pair in fields.items() for part in pair]
        owner, cost = owner_of(principal), request.size + RUN_BYTES
        names = (_name(key), owner, f"{owner} {session_id}")
        bounds = (max_unfinished, cost, self._kept_each)
        outcome, *found = await self._node.step("create", *names, *bounds, *pairs)
        if outcome == b"busy":
            raise Refusal(*TOO_MANY_RUNS)
        if outcome == b"full":
            raise Refusal(*TOO_MUCH_KEPT)
        run = _snapshot(key, found[0])
        if outcome == b"existing":
            if found[1].decode() != request.body():
                raise Refusal(*CONFLICT)
            return Created(run, None)
        self._accepted_at[_name(key)] = asyncio.get_running_loop().time()
        return Created(run, lease, _key(found[1].decode()) if len(found) > 1 and found[1] else None)

    async def get(self, key: RunKey) -> Snapshot:
        return _snapshot(key, _known(await self._node.step("get", _name(key))))

    async def begin(self, key: RunKey, lease: str) -> bool:
        return bool(await self._node.step("begin", _name(key), lease))

    def appender(self, key: RunKey, lease: str) -> RedisAppender:
        async def append(seq: int, drafts: Sequence[Draft]) -> tuple[int, int] | None:
            return await self._append_moved(key, lease, seq, drafts)

        return RedisAppender(append, key.run_id)

    async def _append_moved(
        self, key: RunKey, lease: str, seq: int, drafts: Sequence[Draft]
    ) -> tuple[int, int] | None:
        """Append at the end of the log, wherever `input_closed` has moved it; None when the run is over."""
        while (appended := await self.append(key, lease, seq + 1, drafts)) is None:
            try:
                run = await self.get(key)
            except RunNotFound:
                return None
            if run.status.finished or run.seq <= seq:
                return None  # [RUN-31] another terminal came first, or the lease is lost
            seq = run.seq
        return appended

    async def append(
        self, key: RunKey, lease: str, expected_seq: int, drafts: Sequence[Draft]
    ) -> tuple[int, int] | None:
        """Append `drafts`, the first as `expected_seq`; None, and nothing written, when that is not what comes next."""
        found = await self._node.step("append", _name(key), lease, expected_seq, lines(drafts))
        if found is None:
            self.tally.refused_appends += 1
            return None
        self._appended(key, drafts, *found)
        return int(found[0]), int(found[3])

    def hold(self, key: RunKey, withdrawn: Callable[[], None]) -> Callable[[], None]:
        name = _name(key)
        self._held[name] = withdrawn

        def release() -> None:
            self._held.pop(name, None)
            self._accepted_at.pop(name, None)

        return release

    async def finish(self, key: RunKey, terminal: Event) -> bool:
        return await self._end("finish", key, terminal)

    async def input_state(self, key: RunKey, request_id: str) -> InputState | None:
        request, outcome, answer = _known(await self._node.step("input_state", _name(key), request_id))
        if request is None:
            return None
        if outcome is None:
            return InputState(msgspec.json.decode(request))
        return InputState(msgspec.json.decode(request), outcome.decode(), json.loads(answer))

    async def close_input(self, key: RunKey, request_id: str, outcome: str, answer: Any = None) -> bool:
        event = encode({"type": "input_closed", "request_id": request_id, "outcome": outcome})
        arguments = (_name(key), request_id, outcome, json.dumps(answer), f"c {event}")
        closed = bool(await self._node.step("close_input", *arguments))
        if closed:
            self.tally.appended("input_closed")
            self._feeds.grown(key)
        return closed

    async def history(self, principal: Principal, session_id: str) -> tuple[Exchange, ...]:
        texts = await self._node.step("history", f"{owner_of(principal)} {session_id}")
        turns = zip(texts[::2], texts[1::2], strict=True)
        return tuple(Exchange(prompt.decode(), _unquoted(answer)) for prompt, answer in turns)

    async def read(self, key: RunKey, after: int, most: int) -> Sequence[Entry]:
        return entries(key, _known(await self._node.step("read", _name(key), after, most)))

    async def fill(self, feed: Feed, after: int) -> Sequence[Entry]:
        return await self._feeds.fill(feed, after)

    async def _fill(self, key: RunKey, after: int) -> tuple[int, Sequence[Entry]]:
        last, rows = _known(await self._node.step("fill", _name(key), after, FILL_BYTES))
        return int(last), entries(key, rows)

    async def bytes_after(self, key: RunKey, after: int) -> int:
        return int(_known(await self._node.step("bytes_after", _name(key), after)))

    async def attach(self, key: RunKey, reader: str, after: int, epoch: str | None) -> Snapshot:
        found = _known(await self._node.step("attach", _name(key), reader, after, epoch or ""))
        if found == b"beyond":
            raise Refusal(*BEYOND_END)
        return _snapshot(key, found)

    async def detach(self, key: RunKey, reader: str, grace_s: float | None) -> bool:
        grace_ms = "none" if grace_s is None else int(grace_s * 1000)
        return bool(await self._node.step("detach", _name(key), reader, grace_ms))

    async def finish_unread(self, key: RunKey, terminal: Event) -> bool:
        return await self._end("finish_unread", key, terminal)

    def watch(self, key: RunKey, wake: Callable[[], None], epoch: str = "") -> Feed:
        return self._feeds.watch(key, wake, epoch)

    def grown(self, name: str) -> None:
        """Have the log read again: once for all who watch it."""
        self._feeds.grown(_key(name))

    def ended(self, name: str) -> None:
        """Have those who watch the run read it again, and stop its worker."""
        self.grown(name)
        self._withdraw(name)

    def _withdraw(self, name: str) -> None:
        if withdrawn := self._held.pop(name, None):
            withdrawn()

    def reaped(self, terminal: Event) -> None:
        """Count the end of a run."""
        self.tally.appended(terminal["type"])
        self.tally.ended(terminal)

    async def look(self, work: Sequence[str]) -> None:
        """Do what hints that got lost would have done ([NODE-8])."""
        # What is missing once may have come or gone while the question was on its way.
        missing = self._held.keys() - set(work)
        for name in missing & self._missing:
            self.ended(name)
        self._missing = missing
        keys = self._feeds.keys
        if keys:
            for key, head in zip(keys, await self._node.step("heads", *map(_name, keys)), strict=True):
                self._feeds.look(key, None if head is None else int(head))

    async def _end(self, step: str, key: RunKey, terminal: Event) -> bool:
        found = await self._node.step(step, _name(key), f"e {encode(terminal)}")
        if found is None:
            return False
        self._appended(key, [draft(terminal)], *found)
        self._withdraw(_name(key))
        return True

    def _appended(
        self, key: RunKey, drafts: Sequence[Draft], last_seq: int, last: bytes, at_ms: int, _size: int
    ) -> None:
        name = _name(key)
        for drafted in drafts:
            self.tally.appended(drafted.kind)
        first_seq = last_seq - len(drafts) + 1
        now, accepted_at = asyncio.get_running_loop().time(), self._accepted_at.get(name)
        if first_seq == 1 and accepted_at is not None:
            self.tally.first_event.add(now - accepted_at)
        if drafts[-1].kind in TERMINALS:  # the store added to it
            terminal: Event = msgspec.json.decode(last)
            self.tally.ended(terminal, None if accepted_at is None else now - accepted_at)
            drafts = [*drafts[:-1], draft(terminal)]
        self._feeds.appended(key, first_seq, drafts, at_ms)


def _known(found: Any) -> Any:
    if found is None:
        raise RunNotFound
    return found


def _snapshot(key: RunKey, found: Sequence[bytes | None]) -> Snapshot:
    """Return a run as the script tells of it; one that is finished has lost what was asked."""
    epoch, status, seq, session_id, trace_id, prompt, inputs, request = (
        (value or b"").decode() for value in found
    )
    asked_session, on_disconnect = json.loads(request)
    asked = RunRequest(prompt, key.run_id, asked_session, json.loads(inputs or "{}"), on_disconnect, trace_id)
    return Snapshot(key, epoch, Status(status), int(seq), session_id, trace_id, asked)


def _unquoted(text: bytes) -> str:
    return str(msgspec.json.decode(b'"%b"' % text))
