"""The store's promises, in memory and on Redis, held against random runs, appends, inputs, readers and crashes."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runwire_reference_server.agents import thinking, token
from runwire_reference_server.cluster.redis_appender import AHEAD_BYTES
from runwire_reference_server.run_log.event_sizes import ENVELOPE_BYTES
from runwire_reference_server.run_log.events import Event, draft
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import ANYONE, Principal, RunKey, RunRequest, Status
from runwire_reference_server.run_log.store import (
    BEYOND_END,
    CONFLICT,
    REMEMBERED_BYTES,
    TOO_MANY_RUNS,
    TOO_MUCH_KEPT,
    Store,
)
from tests.support.patience import patience, tries
from tests.support.redis_stand import RedisStand
from tests.support.store_rigs import MemoryRig, Play, RedisRig, Rig, append

DONE = {"type": "done", "data": "", "status": "completed"}
CANCELLED = {"type": "done", "data": "", "status": "cancelled", "reason": "user"}

#: So many runs may be unfinished.
MOST = 3

PRINCIPALS = (ANYONE, Principal("a issuer", 'sub"ject'))
RUN_IDS = tuple(letter * 22 for letter in "abcd")
SESSIONS = ("s" * 22, "t" * 22)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@pytest.fixture(scope="module", params=["memory", "redis"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The store in each of its forms."""
    if request.param == "memory":
        yield MemoryRig()
        return
    stand = RedisStand(tmp_path_factory.mktemp("redis"))
    yield RedisRig(stand)
    stand.kill()


@dataclass
class Model:
    """What a run has to be."""

    request: RunRequest
    lease: str
    session: tuple[Principal, str]
    status: Status
    events: list[Event] = field(default_factory=list)
    outcomes: dict[str, str | None] = field(default_factory=dict)
    readers: set[str] = field(default_factory=set)
    left: bool = False

    @property
    def finished(self) -> bool:
        return self.status.finished

    def answer(self) -> str:
        text = ""
        for event in self.events:
            if event["type"] in {"token", "replace"}:
                text = event["data"] if event["type"] == "replace" else text + event["data"]
        return text


class Logs(RuleBasedStateMachine):
    """Runs of two principals and their sessions against lists."""

    rig: Rig

    def __init__(self) -> None:
        super().__init__()
        self.play = Play(self.rig)
        self.runs: dict[RunKey, Model] = {}
        self.last: dict[tuple[Principal, str], RunKey] = {}
        self.turns: dict[tuple[Principal, str], list[tuple[str, str]]] = {}

    def teardown(self) -> None:
        self.play.end()

    def nothing(self) -> None:
        """Be told that a log may have grown."""

    def some(self, data: st.DataObject, *, unfinished: bool = False) -> tuple[RunKey, Model]:
        """Draw a run."""
        keys = [key for key, run in self.runs.items() if not (unfinished and run.finished)]
        key = data.draw(st.sampled_from(keys))
        return key, self.runs[key]

    def store(self, data: st.DataObject) -> Store:
        """Draw the node at which something is asked."""
        return data.draw(st.sampled_from([self.rig.workers, self.rig.others]))

    @rule(
        principal=st.sampled_from(PRINCIPALS),
        run_id=st.sampled_from(RUN_IDS),
        session_id=st.sampled_from(SESSIONS),
        prompt=st.sampled_from(["x", "ÿ\x00\U0001f600"]),
        policy=st.sampled_from(["grace", "continue"]),
    )
    def create(self, principal: Principal, run_id: str, session_id: str, prompt: str, policy: str) -> None:
        request = RunRequest(prompt, run_id, session_id, {"n": 1}, policy)
        key, existing = RunKey(principal, run_id), self.runs.get(RunKey(principal, run_id))
        unfinished = [k for k, run in self.runs.items() if k.principal == principal and not run.finished]
        try:
            created = self.play(self.rig.workers.create(principal, request, MOST))
        except Refusal as refused:
            if str(refused) == CONFLICT[1]:
                assert existing is not None
                assert (existing.request.prompt, existing.request.on_disconnect) != (prompt, policy) or (
                    existing.request.session_id != session_id
                )
                return
            assert str(refused) == TOO_MANY_RUNS[1]
            assert existing is None
            assert len(unfinished) == MOST
            return
        assert (created.lease is None) is (existing is not None)
        if created.lease is None:
            return
        assert len(unfinished) < MOST
        session = (principal, session_id)
        assert created.predecessor == self.last.get(session)
        status = Status.QUEUED if created.predecessor else Status.RUNNING
        self.rig.workers.watch(key, self.nothing)
        self.runs[key] = Model(request, created.lease, session, status)
        self.last[session] = key

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), own=st.booleans())
    def begin(self, data: st.DataObject, own: bool) -> None:
        key, run = self.some(data)
        begun = self.play(self.rig.workers.begin(key, run.lease if own else "stolen"))
        assert begun is (own and not run.finished)
        if begun and run.status is Status.QUEUED:
            run.status = Status.RUNNING

    @precondition(lambda self: any(run.status in {"running", "waiting"} for run in self.runs.values()))
    @rule(
        data=st.data(),
        kind=st.sampled_from(["token", "token", "replace", "input_request", "done"]),
        offset=st.sampled_from([0, 0, 0, 0, -1, 1]),
        own=st.sampled_from([True, True, True, False]),
        text=texts,
        before=st.lists(st.sampled_from(["token", "thinking"]), max_size=3),
    )
    def append(
        self, data: st.DataObject, kind: str, offset: int, own: bool, text: str, before: list[str]
    ) -> None:
        key, run = self.some(data)
        if run.status is Status.QUEUED:
            return
        event: Event = {"type": kind, "data": text}
        if kind == "input_request":
            event |= {"request_id": f"q{len(run.events)}", "kind": "question"}
        event = dict(DONE) if kind == "done" else event
        lease = run.lease if own else "stolen"
        events: list[Event] = [
            *map({"token": token(text), "thinking": thinking(text)}.__getitem__, before),
            event,
        ]
        expected = len(run.events) + 1
        drafts = list(map(draft, events))
        appended = self.play(append(self.rig.workers, key, lease, expected + offset, drafts))
        assert appended is (own and offset == 0 and not run.finished)
        if appended:
            for event in events:
                self.happened(key, run, event)

    @precondition(lambda self: any(run.outcomes for run in self.runs.values()))
    @rule(data=st.data(), outcome=st.sampled_from(["answered", "expired"]))
    def close_input(self, data: st.DataObject, outcome: str) -> None:
        key, run = self.some(data)
        request_id = data.draw(st.sampled_from([*run.outcomes, "unknown"]))
        store = self.store(data)
        closed = self.play(store.close_input(key, request_id, outcome, {"a": 1}))
        assert closed is (not run.finished and run.outcomes.get(request_id, "none") is None)
        if closed:
            self.happened(
                key, run, {"type": "input_closed", "request_id": request_id, "outcome": outcome, "data": ""}
            )
        state = self.play(store.input_state(key, request_id))
        assert (state is None) is (request_id == "unknown")
        if state is not None:
            assert state.outcome == run.outcomes[request_id]
            assert state.answer == ({"a": 1} if state.outcome else None)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key, run = self.some(data)
        ended = self.play(self.store(data).finish(key, dict(CANCELLED)))
        assert ended is not run.finished
        if ended:
            self.happened(key, run, CANCELLED)

    @rule()
    def crash(self) -> None:
        self.play(self.rig.crash())
        for key, run in self.runs.items():
            if not run.finished:
                self.happened(key, run, {"type": "error", "code": "worker_lost"})

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), after=st.integers(0, 9), epoch=st.sampled_from([None, "another"]))
    def attach(self, data: st.DataObject, after: int, epoch: str | None) -> None:
        key, run = self.some(data)
        reader = data.draw(st.sampled_from(["one", "two"]))
        try:
            found = self.play(
                self.rig.others.attach(key, f"{reader} of {key.run_id}{key.principal}", after, epoch)
            )
        except RunNotFound:
            assert epoch == "another"
        except Refusal as refused:
            assert str(refused) == BEYOND_END[1]
            assert after > len(run.events)
        else:
            assert epoch is None
            assert after <= len(run.events)
            assert found.seq == len(run.events)
            run.readers.add(reader)
            run.left = False

    @precondition(lambda self: any(run.readers for run in self.runs.values()))
    @rule(data=st.data(), grace_s=st.sampled_from([None, 0.0, 60.0]))
    def detach(self, data: st.DataObject, grace_s: float | None) -> None:
        key, run = self.some(data)
        reader = data.draw(st.sampled_from(["one", "two"]))
        name = f"{reader} of {key.run_id}{key.principal}"
        last = run.readers == {reader}
        assert self.play(self.rig.others.detach(key, name, grace_s)) is (
            last and not run.finished and grace_s is not None
        )
        run.readers.discard(reader)
        if last:
            run.left = grace_s == 0.0

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def end_unread(self, data: st.DataObject) -> None:
        key, run = self.some(data)
        ended = self.play(self.store(data).finish_unread(key, dict(CANCELLED)))
        assert ended is (run.left and not run.finished)
        if ended:
            self.happened(key, run, CANCELLED)

    def happened(self, key: RunKey, run: Model, event: Event) -> None:
        """Note what an append does."""
        run.events.append(event)
        match event["type"]:
            case "input_request":
                run.outcomes[event["request_id"]] = None
                run.status = Status.WAITING
            case "input_closed":
                run.outcomes[event["request_id"]] = event["outcome"]
                if None not in run.outcomes.values():
                    run.status = Status.RUNNING
            case "done" | "error":
                run.status = Status(event.get("status", "failed"))
                if run.status is not Status.FAILED:
                    turn = (run.request.prompt, run.answer())
                    self.turns.setdefault(run.session, []).append(turn)
                if self.last.get(run.session) == key:
                    del self.last[run.session]

    @invariant()
    def every_node_sees_what_was_appended(self) -> None:
        for store in {id(store): store for store in (self.rig.workers, self.rig.others)}.values():
            self.play(self.seen(store))

    async def seen(self, store: Store) -> None:
        for key, run in self.runs.items():
            snapshot, entries = await store.get(key), await store.read(key, 0, 1000)
            assert [item.seq for item in entries] == list(range(1, len(run.events) + 1))
            assert [item.event["type"] for item in entries] == [event["type"] for event in run.events]
            texts = [event["data"] for event in run.events if event["type"] == "token"]
            assert [item.event["data"] for item in entries if item.event["type"] == "token"] == texts
            assert [item.terminal for item in entries] == [False] * (len(entries) - run.finished) + [
                True
            ] * run.finished
            assert (snapshot.status, snapshot.seq) == (run.status, len(run.events))
            feed, tail = store.watch(key, self.nothing), [item.data for item in entries[len(entries) // 2 :]]
            filled = await store.fill(feed, len(entries) // 2)
            assert [item.data for item in filled] == tail
            assert [item.data for item in feed.entries] == [item.data for item in entries][
                feed.first : feed.seq
            ]
            log_bytes = sum(len(item.data) for item in entries)
            assert await store.bytes_after(key, 0) == log_bytes
            if entries:
                assert (await store.read(key, 0, 0)) == []
                assert (await store.read(key, 1, 1)) == [] or (await store.read(key, 1, 1))[0].seq == 2
                assert await store.bytes_after(key, 1) == log_bytes - len(entries[0].data)
            if run.finished:
                assert entries[-1].event["trace_id"] == snapshot.trace_id
        for (principal, session_id), turns in self.turns.items():
            history = await store.history(principal, session_id)
            assert [(turn.prompt, turn.answer) for turn in history] == turns


def test_the_store_keeps_its_promises(rig: Rig) -> None:
    machine = type("Logs", (Logs,), {"rig": rig})
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            report_multiple_bugs=False,
            max_examples=40 if isinstance(rig, MemoryRig) else 15,
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def played(rig: Rig, play: Callable[[Rig], Coroutine[Any, Any, None]], **windows: float) -> None:
    """Play one test on a rig."""

    async def whole() -> None:
        await rig.open(**windows)
        try:
            await play(rig)
        finally:
            await rig.close()

    asyncio.run(whole())


def test_a_run_is_its_principals_alone(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        mine, yours = Principal("a", "me"), Principal("a", "you")
        created = await rig.workers.create(mine, RunRequest("x", "r" * 22), 5)
        other = await rig.others.create(yours, RunRequest("y", "r" * 22), 5)

        assert other.run.epoch != created.run.epoch
        assert (await rig.others.get(RunKey(mine, "r" * 22))).request.prompt == "x"

    played(rig, play)


def test_one_start_on_two_nodes_at_once_is_one_run(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        request = RunRequest("x", "r" * 22, inputs={"a": [1, True, None]})
        both = await asyncio.gather(
            *(store.create(ANYONE, request, 1) for store in (rig.workers, rig.others) for _ in range(5))
        )

        assert len([created for created in both if created.lease is not None]) == 1
        assert len({created.run.epoch for created in both}) == 1
        for other, expected in (
            (RunRequest("y", "r" * 22), CONFLICT[1]),
            (RunRequest("z"), TOO_MANY_RUNS[1]),
        ):
            with pytest.raises(Refusal, match=expected):
                await rig.others.create(ANYONE, other, 1)

    played(rig, play)


def test_a_log_and_a_session_are_gone_after_their_windows_and_nothing_makes_a_new_one(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        request = RunRequest("x", session_id="s" * 22)
        created = await rig.workers.create(ANYONE, request, 5)
        key = created.run.key
        assert created.lease is not None
        await rig.others.finish(key, dict(CANCELLED))
        assert (await rig.workers.get(key)).seq == 1
        assert len(await rig.workers.history(ANYONE, "s" * 22)) == 1
        for _ in tries(10, 0.02):
            if not await rig.others.history(ANYONE, "s" * 22) and not await known(rig.others, key):
                break
            await asyncio.sleep(0.02)

        for seq in (1, 2):
            assert not await append(rig.workers, key, created.lease, seq, [draft(token("late"))])
        assert not await rig.workers.finish(key, dict(CANCELLED))
        assert not await known(rig.others, key)
        assert await rig.others.history(ANYONE, "s" * 22) == ()

    played(rig, play, window_s=0.3, session_s=0.3)


def test_all_that_a_writer_may_be_ahead_by_is_appended_at_once(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        created = await rig.workers.create(ANYONE, RunRequest("x", session_id="s" * 22), 5)
        key, most = created.run.key, AHEAD_BYTES // ENVELOPE_BYTES
        assert created.lease is not None
        drafts = [draft(token(f"{number} ")) for number in range(most)]

        feed = rig.workers.watch(key, lambda: None)

        assert await append(rig.workers, key, created.lease, 1, drafts)

        read = [item.data for item in await rig.others.read(key, 0, 2 * most)]
        assert [item.data for item in feed.entries] == read
        await rig.others.finish(key, dict(CANCELLED))
        (turn,) = await rig.others.history(ANYONE, created.run.session_id)
        assert turn.answer == "".join(f"{number} " for number in range(most))

    played(rig, play)


async def known(store: Store, key: RunKey) -> bool:
    """Whether the store has the run's log."""
    try:
        await store.get(key)
    except RunNotFound:
        return False
    return True


def test_wake_ups_reach_watchers_and_workers_of_other_nodes(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        created = await rig.workers.create(ANYONE, RunRequest("x"), 5)
        key, woken, withdrawn = created.run.key, asyncio.Event(), asyncio.Event()
        assert created.lease is not None
        feed = rig.others.watch(key, woken.set)
        release = rig.workers.hold(key, withdrawn.set)
        await rig.others.attach(key, "reader", 0, None)
        await rig.others.fill(feed, 0)
        async with asyncio.timeout(patience(5)):
            await append(rig.workers, key, created.lease, 1, [draft(token("x"))])
            await woken.wait()
            await rig.others.finish(key, dict(CANCELLED))
            await withdrawn.wait()
            while feed.seq < 2:
                woken.clear()
                await woken.wait()
        assert [item.seq for item in feed.entries] == [1, 2]
        assert [item.kind for item in await rig.others.fill(feed, 1)] == ["done"]
        feed.leave(woken.set)
        release()

    played(rig, play)


async def finished(store: Store, request: RunRequest, *said: str) -> RunKey:
    """Play a run to its end."""
    created = await store.create(ANYONE, request, 5)
    assert created.lease is not None
    drafts = [draft(token(text)) for text in said]
    assert await append(store, created.run.key, created.lease, 1, [*drafts, draft(dict(DONE))])
    return created.run.key


def test_what_is_kept_for_a_principal_is_bounded_until_it_is_forgotten(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        with pytest.raises(Refusal, match=TOO_MUCH_KEPT[1]):
            await rig.workers.create(ANYONE, RunRequest("x" * 20_000), 5)
        await finished(rig.workers, RunRequest("x" * 15_000))  # a prompt is not kept beyond its run
        await finished(rig.workers, RunRequest("x"), "y" * 15_000)
        for store in (rig.workers, rig.others):
            with pytest.raises(Refusal, match=TOO_MUCH_KEPT[1]):
                await store.create(ANYONE, RunRequest("x" * 3000), 5)
        assert (await rig.workers.create(Principal("another"), RunRequest("x" * 3000), 5)).lease is not None
        async with asyncio.timeout(patience(10)):
            while True:
                try:
                    await rig.others.create(ANYONE, RunRequest("x" * 3000), 5)
                except Refusal as refused:
                    assert str(refused) == TOO_MUCH_KEPT[1]
                    await asyncio.sleep(0.05)
                else:
                    return

    played(rig, play, window_s=1, session_s=60, kept_each=20_000)


def test_an_unfinished_run_counts_with_what_it_said(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        created = await rig.workers.create(ANYONE, RunRequest("x"), 5)
        assert created.lease is not None
        await append(rig.workers, created.run.key, created.lease, 1, [draft(token("y" * 20_000))])

        with pytest.raises(Refusal, match=TOO_MUCH_KEPT[1]):
            await rig.others.create(ANYONE, RunRequest("x"), 5)

    played(rig, play, kept_each=20_000)


def test_only_a_session_that_was_named_is_remembered_and_only_its_last_turns(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        unnamed = await finished(rig.workers, RunRequest("x"), "y")
        assert await rig.others.history(ANYONE, (await rig.others.get(unnamed)).session_id) == ()

        for number in range(4):
            request = RunRequest(f"{number}", session_id="s" * 22)
            await finished(rig.workers, request, "y" * (REMEMBERED_BYTES // 3))

        turns = await rig.others.history(ANYONE, "s" * 22)
        assert [turn.prompt for turn in turns] == ["2", "3"]
        assert all(len(turn.answer) == REMEMBERED_BYTES // 3 for turn in turns)

    played(rig, play)


def test_a_finished_run_is_known_by_its_body_still(rig: Rig) -> None:
    async def play(rig: Rig) -> None:
        asked = {"a": [1, True, None], "b": -0.0}
        await finished(rig.workers, RunRequest("x", "r" * 22, inputs=asked), "y")

        again = await rig.others.create(
            ANYONE, RunRequest("x", "r" * 22, inputs={"b": 0, "a": [1.0, True, None]}), 5
        )
        assert again.lease is None
        for other in (
            RunRequest("y", "r" * 22, inputs=asked),
            RunRequest("x", "r" * 22, inputs={"a": [1, 1, None]}),
        ):
            with pytest.raises(Refusal, match=CONFLICT[1]):
                await rig.others.create(ANYONE, other, 5)

    played(rig, play)
