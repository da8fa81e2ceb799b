"""The store's promises, held against random appends, readers, ends and lost leases."""

import asyncio

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runwire_reference_server.runs import ANYONE, Principal, RunKey, RunRequest
from runwire_reference_server.store import BeyondEnd, Conflict, RunNotFound, TooManyRuns
from runwire_reference_server.store.memory import MemoryStore

DONE = {"type": "done", "data": "", "status": "completed"}
CANCELLED = {"type": "done", "data": "", "status": "cancelled", "reason": "user"}


class OneLog(RuleBasedStateMachine):
    """One run's log against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = MemoryStore(300)
        self.texts: list[str] = []
        self.finished = False
        self.readers = 0

    def do(self, coroutine: object) -> object:
        """Run one step of the store."""
        return self.runner.run(coroutine)  # type: ignore[arg-type]

    @initialize()
    def create(self) -> None:
        created = self.do(self.store.create(ANYONE, RunRequest("x", "r" * 22), 5))
        self.key = created.run.key  # type: ignore[attr-defined]
        self.lease = created.lease  # type: ignore[attr-defined]

    @rule(text=st.text(max_size=5), offset=st.sampled_from([0, 0, 0, -1, 1]), own=st.booleans())
    def append(self, text: str, offset: int, own: bool) -> None:
        lease = self.lease if own else "stolen"
        event = {"type": "token", "data": text}

        item = self.do(self.store.append(self.key, lease, len(self.texts) + 1 + offset, event))

        allowed = own and offset == 0 and not self.finished
        assert (item is not None) is allowed
        if allowed:
            self.texts.append(text)

    @rule(by_worker=st.booleans())
    def end(self, by_worker: bool) -> None:
        if by_worker:
            item = self.do(self.store.append(self.key, self.lease, len(self.texts) + 1, dict(DONE)))
        else:
            item = self.do(self.store.finish(self.key, dict(CANCELLED)))
        assert (item is not None) is not self.finished
        if not self.finished:
            self.texts.append("")
        self.finished = True

    @rule(after=st.integers(0, 12), epoch=st.sampled_from([None, "another"]))
    def attach(self, after: int, epoch: str | None) -> None:
        try:
            self.do(self.store.attach(self.key, after, epoch))
        except RunNotFound:
            assert epoch == "another"
        except BeyondEnd:
            assert after > len(self.texts)
        else:
            assert epoch is None
            assert after <= len(self.texts)
            self.readers += 1

    @precondition(lambda self: self.readers > 0)
    @rule()
    def detach(self) -> None:
        self.readers -= 1
        assert self.do(self.store.detach(self.key)) == self.readers

    @rule()
    def end_unread(self) -> None:
        item = self.do(self.store.finish_unread(self.key, dict(CANCELLED)))
        allowed = not self.finished and self.readers == 0
        assert (item is not None) is allowed
        if allowed:
            self.texts.append("")
            self.finished = True

    @invariant()
    def the_log_is_what_was_appended(self) -> None:
        if not hasattr(self, "key"):
            return
        entries = self.do(self.store.read(self.key, 0, 1000))
        assert [item.seq for item in entries] == list(range(1, len(self.texts) + 1))  # type: ignore[attr-defined]
        texts = [item.event["data"] for item in entries]  # type: ignore[attr-defined]
        assert texts == self.texts
        assert [item.terminal for item in entries[:-1]] == [False] * max(0, len(self.texts) - 1)  # type: ignore[index]
        unfinished = self.do(self.store.unfinished(ANYONE))
        assert (self.key in unfinished) is not self.finished  # type: ignore[operator]

    def teardown(self) -> None:
        self.runner.close()


TestOneLog = OneLog.TestCase
TestOneLog.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_run_is_its_principals_alone() -> None:
    async def play() -> None:
        store = MemoryStore(300)
        mine, yours = Principal("a", "me"), Principal("a", "you")
        created = await store.create(mine, RunRequest("x", "r" * 22), 5)
        other = await store.create(yours, RunRequest("y", "r" * 22), 5)

        assert other.run.epoch != created.run.epoch
        assert (await store.get(RunKey(mine, "r" * 22))).request.prompt == "x"

    asyncio.run(play())


def test_the_same_id_with_another_body_is_a_conflict_and_runs_are_counted() -> None:
    async def play() -> None:
        store = MemoryStore(300)
        await store.create(ANYONE, RunRequest("x", "r" * 22), 1)
        again = await store.create(ANYONE, RunRequest("x", "r" * 22), 1)
        assert again.lease is None
        for request, expected in ((RunRequest("y", "r" * 22), Conflict), (RunRequest("z"), TooManyRuns)):
            try:
                await store.create(ANYONE, request, 1)
            except expected:
                continue
            raise AssertionError(f"expected {expected.__name__}")

    asyncio.run(play())


def test_a_log_is_gone_after_its_window_and_not_before() -> None:
    async def play() -> None:
        store = MemoryStore(0.05)
        created = await store.create(ANYONE, RunRequest("x"), 5)
        await store.finish(created.run.key, dict(CANCELLED))
        assert (await store.get(created.run.key)).seq == 1
        async with asyncio.timeout(5):
            while True:
                try:
                    await store.get(created.run.key)
                except RunNotFound:
                    return
                await asyncio.sleep(0.01)

    asyncio.run(play())
