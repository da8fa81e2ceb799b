"""The store of many nodes, on Redis: a stream for each log, and a script whose every step is atomic (`redis.lua`)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runwire_reference_server.events import Draft, Entry, Event, draft, encode, placed
from runwire_reference_server.runs import (
    Principal,
    RunKey,
    RunRequest,
    Status,
    after_event,
    new_identifier,
    new_trace_id,
)
from runwire_reference_server.store import (
    REMEMBERED_EXCHANGES,
    BeyondEnd,
    Conflict,
    Created,
    Exchange,
    InputState,
    RunNotFound,
    Snapshot,
    TooManyRuns,
)
from runwire_reference_server.store.redis_node import Listener, RedisNode
from runwire_reference_server.store.tail import Tail


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

    far = True

    def __init__(self, node: RedisNode, resume_window_s: float, session_s: float, grace_s: float) -> None:
        """`grace_s` is how long runs go on that lose their last reader together with its node."""
        self._node = node
        self._window_ms, self._session_ms, self._grace_ms = (
            int(seconds * 1000) for seconds in (resume_window_s, session_s, grace_s)
        )
        self._watchers: dict[str, set[Callable[[], None]]] = {}
        self._tails: dict[str, Tail] = {}
        self._heads: dict[str, bytes | None] = {}
        self._held: dict[str, Callable[[], None]] = {}
        self._missing: set[str] = set()
        self._on_end: Callable[[Event], None] = lambda _: None
        node.listener = self

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
            "epoch": new_identifier(),
            "grace_ms": "none" if request.on_disconnect == "continue" else self._grace_ms,
            "lease": lease,
            "prompt": request.prompt,
            "request": json.dumps([request.session_id, request.inputs, request.on_disconnect]),
            "run_id": request.run_id,
            "session_id": session_id,
            "session_ms": self._session_ms,
            "trace_id": request.trace_id or new_trace_id(),
            "turns": REMEMBERED_EXCHANGES,
            "window_ms": self._window_ms,
        }
        pairs = [part for pair in fields.items() for part in pair]
        owner = owner_of(principal)
        outcome, *found = await self._node.step(
            "create", _name(key), owner, f"{owner} {session_id}", max_unfinished, *pairs
        )
        if outcome == b"busy":
            raise TooManyRuns
        run = _snapshot(key, found[0])
        if outcome == b"existing":
            if not run.request.same_body(request):
                raise Conflict
            return Created(run, None)
        return Created(run, lease, _key(found[1].decode()) if len(found) > 1 and found[1] else None)

    async def get(self, key: RunKey) -> Snapshot:
        return _snapshot(key, _known(await self._node.step("get", _name(key))))

    async def begin(self, key: RunKey, lease: str) -> bool:
        return bool(await self._node.step("begin", _name(key), lease))

    async def append(
        self, key: RunKey, lease: str, expected_seq: int, drafts: Sequence[Draft]
    ) -> list[Entry] | None:
        events = [part for drafted in drafts for part in (drafted.data, *_effect(drafted.event))]
        found = await self._node.step("append", _name(key), lease, expected_seq, *events)
        return self._appended(key, drafts, found)

    def on_end(self, ended: Callable[[Event], None]) -> None:
        self._on_end = ended

    def hold(self, key: RunKey, withdrawn: Callable[[], None]) -> Callable[[], None]:
        name = _name(key)
        self._held[name] = withdrawn
        return lambda: self._held.pop(name, None) and None

    async def finish(self, key: RunKey, terminal: Event) -> Entry | None:
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
        arguments = (_name(key), request_id, outcome, json.dumps(answer), event)
        closed = bool(await self._node.step("close_input", *arguments))
        if closed:
            self.grown(_name(key))
        return closed

    async def history(self, principal: Principal, session_id: str) -> tuple[Exchange, ...]:
        texts = await self._node.step("history", f"{owner_of(principal)} {session_id}")
        turns = zip(texts[::2], texts[1::2], strict=True)
        return tuple(Exchange(prompt.decode(), answer.decode()) for prompt, answer in turns)

    async def read(self, key: RunKey, after: int, most: int) -> list[Entry]:
        rows = _known(await self._node.step("read", _name(key), after, most))
        return [
            placed(_stored(row[1][1]), key.run_id, int(row[0].partition(b"-")[0]), int(row[1][3]))
            for row in rows
        ]

    async def follow(self, key: RunKey, after: int, most: int) -> list[Entry]:
        tail = self._tails.get(_name(key))
        if tail is None or not self.reachable:
            return await self.read(key, after, most)
        if (known := tail.after(after, most)) is not None:
            return known
        age = tail.age
        entries = await self.read(key, after, most)
        if len(entries) < most:
            tail.read(entries, age)
        return entries

    async def bytes_after(self, key: RunKey, after: int) -> int:
        return int(_known(await self._node.step("bytes_after", _name(key), after)))

    async def attach(self, key: RunKey, reader: str, after: int, epoch: str | None) -> Snapshot:
        found = _known(await self._node.step("attach", _name(key), reader, after, epoch or ""))
        if found == b"beyond":
            raise BeyondEnd
        return _snapshot(key, found)

    async def detach(self, key: RunKey, reader: str, grace_s: float | None) -> bool:
        grace_ms = "none" if grace_s is None else int(grace_s * 1000)
        return bool(await self._node.step("detach", _name(key), reader, grace_ms))

    async def finish_unread(self, key: RunKey, terminal: Event) -> Entry | None:
        return await self._end("finish_unread", key, terminal)

    async def unfinished(self, principal: Principal | None = None) -> list[RunKey]:
        owner = "" if principal is None else owner_of(principal)
        return [_key(name.decode()) for name in await self._node.step("unfinished", owner)]

    def watch(self, key: RunKey, wake: Callable[[], None]) -> Callable[[], None]:
        name = _name(key)
        self._watchers.setdefault(name, set()).add(wake)
        self._tails.setdefault(name, Tail())
        self._heads.pop(name, None)

        def unwatch() -> None:
            watchers = self._watchers.get(name, set())
            watchers.discard(wake)
            if not watchers:
                self._watchers.pop(name, None)
                self._tails.pop(name, None)
                self._heads.pop(name, None)

        return unwatch

    def grown(self, name: str) -> None:
        """Have those who watch the run read it again."""
        if tail := self._tails.get(name):
            tail.outdate()
        self._wake(name)

    def _wake(self, name: str) -> None:
        for wake in tuple(self._watchers.get(name, ())):
            wake()

    def ended(self, name: str) -> None:
        """Have those who watch the run read it again, and stop its worker."""
        self.grown(name)
        self._withdraw(name)

    def _withdraw(self, name: str) -> None:
        if withdrawn := self._held.pop(name, None):
            withdrawn()

    def reaped(self, terminal: Event) -> None:
        """Tell that a run has ended."""
        self._on_end(terminal)

    async def look(self, work: Sequence[str]) -> None:
        """Do what hints that got lost would have done ([NODE-8])."""
        # What is missing once may have come or gone while the question was on its way.
        missing = self._held.keys() - set(work)
        for name in missing & self._missing:
            self.ended(name)
        self._missing = missing
        names = list(self._watchers)
        if not names:
            return
        for name, head in zip(names, await self._node.step("heads", *names), strict=True):
            if name in self._watchers and (head is None or self._heads.get(name) != head):
                self._heads[name] = head
                self.grown(name)

    async def _end(self, step: str, key: RunKey, terminal: Event) -> Entry | None:
        status = after_event(Status.RUNNING, terminal)
        found = await self._node.step(step, _name(key), encode(terminal), status)
        entries = self._appended(key, [draft(terminal)], found)
        if entries is None:
            return None
        self._withdraw(_name(key))
        return entries[0]

    def _appended(self, key: RunKey, drafts: Sequence[Draft], found: Any) -> list[Entry] | None:
        if found is None:
            return None
        last_seq, last, at_ms = found
        first_seq = last_seq - len(drafts) + 1
        kept = [*drafts[:-1], _stored(last)]  # the store added to a terminal
        entries = [placed(kept[n], key.run_id, first_seq + n, at_ms) for n in range(len(kept))]
        if tail := self._tails.get(_name(key)):
            for item in entries:
                tail.appended(item)
        self._wake(_name(key))
        return entries


def _known(found: Any) -> Any:
    if found is None:
        raise RunNotFound
    return found


def _snapshot(key: RunKey, found: Sequence[bytes]) -> Snapshot:
    epoch, status, seq, session_id, trace_id, size, prompt, request = (value.decode() for value in found)
    asked_session, inputs, on_disconnect = json.loads(request)
    asked = RunRequest(prompt, key.run_id, asked_session, inputs, on_disconnect, trace_id)
    return Snapshot(key, epoch, Status(status), int(seq), session_id, trace_id, asked, int(size))


def _effect(event: Event) -> tuple[str, str]:
    """Return what an event does in the store beside standing in the log."""
    match event["type"]:
        case "token" | "replace" as kind:
            return kind, event["data"]
        case "input_request" as kind:
            return kind, event["request_id"]
        case "done" | "error":
            return "end", after_event(Status.RUNNING, event)
    return "", ""


def _stored(data: bytes) -> Draft:
    """Return what the store keeps of an event."""
    return Draft(msgspec.json.decode(data), data)
