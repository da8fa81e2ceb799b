"""Chapter 15: metrics."""

import asyncio
import json
import time
from urllib.parse import urljoin

from runwire_conformance.case import Blocked, Broken, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.conversation import DefaultTimeout
from runwire_conformance.client.expectations import expect_member
from runwire_conformance.client.exposition import Family, MalformedExposition, read_exposition
from runwire_conformance.client.target import Target, new_run_id
from runwire_spec import registries

#: Seconds to wait until a server has counted what has happened, for which no sentence states a time.
COUNTED_S = DefaultTimeout(4.0)

#: Seconds between two looks.
LOOK_S = 0.2


async def scraped(target: Target) -> str:
    """Return what `/metrics` says; raises Broken."""
    if target.profile.discovery_url is None:
        raise Blocked("CONN-1")
    response = await target.http("GET", urljoin(target.profile.discovery_url, "/metrics"))
    if response.status != 200:
        raise Broken(f"expected 200 at /metrics; got {response.status}")
    if response.media_type not in {"text/plain", "application/openmetrics-text"}:
        raise Broken(f"expected the Prometheus text format; got {response.media_type}")
    return response.body.decode()


async def metrics(target: Target) -> dict[str, Family]:
    """Return the metrics by their names; raises Broken when they cannot be read."""
    try:
        return read_exposition(await scraped(target))
    except MalformedExposition as problem:
        raise Broken(f"expected the Prometheus text format: {problem}") from None


async def ended(target: Target) -> dict[str, float]:
    """Return how many runs ended, by status."""
    family = (await metrics(target)).get("runwire_runs_total")
    if family is None:
        raise Broken("expected the metric runwire_runs_total; there is none")
    return {
        sample.labels.get("status", ""): sample.value
        for sample in family.samples
        if "_created" not in sample.name
    }


@proves("OBS-6")
async def metrics_are_those_of_the_registry(target: Target) -> None:
    run = await (await target.connect()).start(target.brief)
    await run.terminal()

    found = await metrics(target)

    for row in registries()["metrics"]:
        family = found.get(row["metric"])
        assert family is not None, f"{row['metric']} is missing"
        assert family.type == row["type"], f"{row['metric']} is a {family.type}"
        labels = {name.strip(" `") for name in row["labels"].split(",")} - {""}
        for sample in family.samples:
            own = set(sample.labels) - {"le"}
            assert labels <= own, f"{sample.name} has the labels {sorted(own)}, not {sorted(labels)}"


@proves("OBS-6")
async def metrics_without_labels_have_a_value(target: Target) -> None:
    found = await metrics(target)

    plain = [row["metric"] for row in registries()["metrics"] if not row["labels"].strip()]

    assert [name for name in plain if name not in found or not found[name].samples] == []


@proves("OBS-6", script=True)
async def what_is_open_is_counted_while_it_is(target: Target) -> None:
    client = await target.connect()
    run = await client.start(scripts.QUIET)
    await run.next_event()

    found = await metrics(target)

    connections = [sample.value for sample in found["runwire_connections"].samples]
    assert sum(connections) >= 1
    assert sum(sample.value for sample in found["runwire_runs_active"].samples) >= 1
    await client.cancel(run)


@proves("OBS-7", script=True, alone=True)
async def every_run_is_counted_under_the_status_it_ended_with(target: Target) -> None:
    client = await target.connect()
    before = await ended(target)
    completed = [await client.start(scripts.THREE_TOKENS, run_id=new_run_id()) for _ in range(2)]
    failed = await client.start(scripts.script(scripts.fail()), run_id=new_run_id())
    cancelled = await client.start(scripts.ENDLESS, run_id=new_run_id())
    await client.cancel(cancelled)
    for run in (*completed, failed, cancelled):
        await run.terminal()

    await counts(target, before, completed=2, failed=1, cancelled=1)


async def counts(target: Target, before: dict[str, float], **expected: int) -> None:
    """Wait until so many more runs are counted under these statuses than `before`; raises Broken."""
    until = time.monotonic() + max(COUNTED_S, target.patience_s)
    while short := short_of(expected, before, await ended(target)):
        if time.monotonic() > until:
            problem = Broken(f"expected {expected} more runs in runwire_runs_total; got {short}")
            problem.absent = True
            raise problem
        await asyncio.sleep(LOOK_S)


def short_of(expected: dict[str, int], before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """Return by how much each count has grown that has not grown as `expected`."""
    grown = {status: now.get(status, 0) - before.get(status, 0) for status in expected}
    return {status: number for status, number in grown.items() if number < expected[status]}


@proves("OBS-7", script=True, alone=True, fills=True)
async def a_cut_run_is_counted_as_incomplete(target: Target) -> None:
    if target.limits["log_bytes"] > 5_000_000:
        raise NotOffered("log_bytes is too large to reach it for one count")
    before = await ended(target)
    run = await (await target.connect()).start(
        scripts.script(scripts.repeat(3000, scripts.token("x" * 3800)))
    )
    terminal = await run.terminal()
    expect_member(terminal, "status", "incomplete")

    await counts(target, before, incomplete=1)


@proves("OBS-8")
async def no_label_holds_anything_of_a_caller(target: Target) -> None:
    marks = {"run_id": new_run_id(), "session_id": new_run_id(), "prompt": f"prompt-{new_run_id()}"}
    client = await target.connect()
    prompt = (
        scripts.script(scripts.token(marks["prompt"])) if target.profile.has_script_agent else marks["prompt"]
    )
    run = await client.start(prompt, run_id=marks["run_id"], session_id=marks["session_id"])
    await run.terminal()
    if "resume" in target.features:
        await client.resume(run.id)
    await client.cancel(run)
    wrong = f"wrong-{new_run_id()}"
    if "auth" in target.features:
        await target.as_caller(wrong).refused_handshake()

    found = await metrics(target)

    told = json.dumps(
        [[sample.name, dict(sample.labels)] for family in found.values() for sample in family.samples]
    )
    assert [name for name, mark in marks.items() if mark in told] == []
    assert wrong not in told
    assert not target.redaction.holds(told), "a credential stands in a label"
