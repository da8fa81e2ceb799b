"""What a run's time is made of, at the default limits of the registry: on a loop whose time jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runwire_reference_server.agents import Task, input_request, token
from runwire_reference_server.run_log.memory_store import MemoryStore
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.run_log.runs import ANYONE, RunKey, RunRequest
from runwire_reference_server.service.service import Service
from runwire_reference_server.service.settings import Settings, checked_limits
from tests.support.virtual_time import anyio_backend, virtual_monotonic  # noqa: F401 - what makes time jump here

pytestmark = pytest.mark.anyio

LIMITS = checked_limits({})

Event = dict[str, Any]


class Acts:
    """An agent that does what its prompt says: wait so many seconds, or ask."""

    async def run(self, task: Task) -> AsyncIterator[Event]:
        yield token("first ")
        for word in task.prompt.split():
            if word == "ask":
                yield input_request("q1", "question", "Well?")
                assert task.input_requests is not None
                answer = await task.input_requests.answer("q1")
                yield token(f"{answer.outcome} ")
            else:
                await asyncio.sleep(float(word))
        yield token("last")


def served() -> Service:
    return Service(MemoryStore(LIMITS["resume_window_s"]), Acts(), Settings(limits=LIMITS))


async def started(service: Service, prompt: str, policy: str = "grace") -> RunKey:
    """Start a run that "reader" reads."""
    accepted = await service.start(ANYONE, RunRequest(prompt, on_disconnect=policy))
    await service.attach(accepted.run.key, "reader", 0)
    return accepted.run.key


async def stands(service: Service, key: RunKey) -> tuple[str, str]:
    """Return a run's status and the text of its answer."""
    run = await service.store.get(key)
    return str(run.status), await service.text(run)


async def test_a_run_may_take_its_time_and_no_longer() -> None:
    service = served()
    within, beyond = await started(service, "599"), await started(service, "601")

    await asyncio.sleep(598)
    assert [(await stands(service, key))[0] for key in (within, beyond)] == ["running"] * 2
    await asyncio.sleep(4)

    assert await stands(service, within) == ("completed", "first last")
    assert (await stands(service, beyond))[0] == "failed"
    (*_, end) = await service.store.read(beyond, 0, 99)
    assert (end.event["type"], end.event["code"]) == ("error", "timeout")


async def test_a_runs_time_stands_still_while_it_waits_for_its_user() -> None:
    service = served()
    key = await started(service, "300 ask 299")

    await asyncio.sleep(800)  # 300 of its own, and 500 of the user's
    assert (await stands(service, key))[0] == "waiting"
    await service.input(key, "q1", "yes")
    await asyncio.sleep(300)

    assert await stands(service, key) == ("completed", "first answered last")


async def test_a_question_is_open_for_as_long_as_the_limit_says() -> None:
    service = served()
    key = await started(service, "ask")

    await asyncio.sleep(LIMITS["input_s"] - 1)
    assert (await stands(service, key))[0] == "waiting"
    await asyncio.sleep(2)

    assert await stands(service, key) == ("completed", "first expired last")


class Impatient:
    """An agent that asks, waits for a while, and takes its question back."""

    async def run(self, task: Task) -> AsyncIterator[Event]:
        assert task.input_requests is not None
        yield input_request("q1", "question", "Well?")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await task.input_requests.answer("q1")
        await task.input_requests.withdraw("q1")
        yield token((await task.input_requests.answer("q1")).outcome)


async def test_an_agent_may_give_up_waiting_and_take_its_question_back() -> None:
    service = Service(MemoryStore(LIMITS["resume_window_s"]), Impatient(), Settings(limits=LIMITS))
    key = await started(service, "x")

    await asyncio.sleep(10)

    assert await stands(service, key) == ("completed", "withdrawn")


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [
        ("grace", "running", "cancelled"),
        ("cancel", "cancelled", "cancelled"),
        ("continue", "running", "running"),
    ],
)
async def test_a_run_that_nobody_reads_goes_on_for_its_grace(policy: str, before: str, after: str) -> None:
    service = served()
    key = await started(service, "500", policy)

    await service.detach(key, "reader", by_server=False)
    await asyncio.sleep(LIMITS["detach_grace_s"] - 1)
    seen = (await stands(service, key))[0]
    await asyncio.sleep(2)

    assert (seen, (await stands(service, key))[0]) == (before, after)


async def test_who_comes_back_within_the_grace_keeps_the_run() -> None:
    service = served()
    key = await started(service, "500")

    for _ in range(5):
        await service.detach(key, "reader", by_server=False)
        await asyncio.sleep(LIMITS["detach_grace_s"] - 1)
        await service.attach(key, "reader", 0)
        await asyncio.sleep(10)

    assert (await stands(service, key))[0] == "running"


async def test_a_log_stays_for_its_window_and_is_gone_then() -> None:
    service = served()
    key = await started(service, "1")

    await asyncio.sleep(1 + LIMITS["resume_window_s"] - 1)
    assert await stands(service, key) == ("completed", "first last")
    await asyncio.sleep(2)

    with pytest.raises(Refusal) as refused:
        await service.store.get(key)
    assert refused.value.code == "not_found"


async def test_draining_waits_for_runs_and_ends_what_is_left() -> None:
    service = served()
    quick, slow = await started(service, "20"), await started(service, "500")
    begun = asyncio.get_running_loop().time()

    await service.drain()

    assert asyncio.get_running_loop().time() - begun == pytest.approx(LIMITS["drain_s"], abs=0.1)
    assert (await stands(service, quick))[0] == "completed"
    (*_, end) = await service.store.read(slow, 0, 99)
    assert (end.event["type"], end.event["code"]) == ("error", "worker_lost")
