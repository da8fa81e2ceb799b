"""The script agent of chapter 16 in Python, for any server on asyncio. Never enable it in production.

    steps = parse(prompt)
    async for event in play(steps, run) if steps is not None else your_agent(prompt):
        append(event)  # puts run_id and seq on it; Failed becomes the `error` that ends the run

To cancel a run, set `run.cancelled_at` and cancel the task that reads `play`.
"""

import asyncio
import json
import time

MAX_STEPS = 1_000_000  # [SCRIPT-10]
MAX_REPORTS = 10_000  # runs that `report` can name; the oldest are forgotten

#: Steps whose value is an object: the members they must have, and those they may have.
OBJECTS = {
    "tool_delta": ({"call_id", "name", "data"}, set()),
    "tool_call": ({"call_id", "name", "input"}, set()),
    "observation": ({"call_id", "content"}, {"is_error", "partial"}),
    "input_request": ({"request_id", "kind"}, {"data", "call_id", "schema", "expires_in_ms"}),
    "fail": ({"code", "data"}, {"retryable"}),
}
TEXTS = {"token": "data", "replace": "data", "thinking": "content"}
STRINGS = {"call_id", "name", "data", "request_id", "kind", "code"}
BOOLEANS = {"is_error", "partial", "retryable"}
BESIDE = {"agent", "parent_call_id"}

reports = {}  # (principal, run_id) → a Report, oldest first


class Failed(Exception):
    """Ends the run with an `error` of `code`; `retryable` is None where the script does not say."""

    def __init__(self, code, data, retryable=None):
        super().__init__(data)
        self.code, self.data, self.retryable = code, data, retryable


class Run:
    """What your server tells the agent about a run; the two methods are for the feature `input`."""

    principal, run_id = "", ""
    cancelled_at = None  # time.monotonic() when it was cancelled

    async def none_open(self):
        """Wait until no input request of the run is open."""

    async def answer(self, request_id):
        """Wait until a request is closed; its answer, None if it expired; KeyError if it was never opened."""
        raise KeyError(request_id)


class Report:
    """What `report` tells of an earlier script run."""

    def __init__(self, run):
        self.run, self.stopped, self.stopped_at, self.late = run, asyncio.Event(), 0.0, 0


def parse(prompt):
    """Return the steps of a script, or None when the prompt is for your own agent ([SCRIPT-11])."""
    try:
        value = json.loads(prompt, parse_constant=refused)
    except (ValueError, RecursionError):
        return None
    is_script = isinstance(value, dict) and value.keys() == {"runwire_script"}
    return value["runwire_script"] if is_script and isinstance(value["runwire_script"], list) else None


def refused(name):
    """Refuse `NaN` and its like, which JSON does not have."""
    raise ValueError(f"{name} is no JSON")


async def play(steps, run):
    """Yield the events of a script, without `run_id` and `seq`; an `input_request` keeps `expires_in_ms`."""
    report = reports[run.principal, run.run_id] = Report(run)
    while len(reports) > MAX_REPORTS:
        del reports[next(iter(reports))]
    try:
        for count, step in enumerate(expanded(steps), start=1):
            if count > MAX_STEPS:
                raise Failed("agent_error", f"the script has more than {MAX_STEPS} steps")
            if count % 256 == 0:
                await asyncio.sleep(0)  # a script that never waits still lets others have their turn
            report.late += run.cancelled_at is not None
            name, value, beside = checked(step)
            if name not in {"input_request", "echo_input"}:
                await run.none_open()  # [SCRIPT-7]
            if name in TEXTS:
                if value:
                    yield {"type": name, TEXTS[name]: value} | (beside if name == "thinking" else {})
            elif name == "fail":
                raise Failed(value["code"], value["data"], value.get("retryable"))
            elif name in OBJECTS:
                yield {"type": name} | value | beside
            elif name == "wait_ms":
                await asyncio.sleep(value / 1000)
            elif name == "block_ms":
                await block(value / 1000)
            elif name == "echo_input":
                try:
                    yield {"type": "token", "data": json.dumps(await run.answer(value), ensure_ascii=False)}
                except KeyError:
                    raise Failed("agent_error", "echo_input names a request that was not opened") from None
            else:
                yield {"type": "token", "data": json.dumps(await told(reports.get((run.principal, value))))}
        await run.none_open()
    finally:
        report.stopped_at = time.monotonic()
        report.stopped.set()


def expanded(steps):
    """Yield the steps with every `repeat` unrolled, without holding them all."""
    todo = [iter(steps)]
    while todo:
        for step in todo[-1]:
            if isinstance(step, dict) and "repeat" in step:
                todo.append(repeated(step))
                break
            yield step
        else:
            todo.pop()


def repeated(step):
    """Yield the steps of a `repeat`, so many times."""
    times, steps = step["repeat"], step.get("steps")
    if step.keys() != {"repeat", "steps"} or type(times) is not int or times < 1:
        raise Failed("agent_error", "repeat needs a whole number of at least 1, and steps beside it")
    if not isinstance(steps, list) or not steps:
        raise Failed("agent_error", "steps must be a list that is not empty")
    for _ in range(times):
        yield from steps


def checked(step):
    """Return name, value and further members of a step ([SCRIPT-4])."""
    names = list(step.keys() - BESIDE) if isinstance(step, dict) else []
    if len(names) != 1 or not well_formed(names[0], step[names[0]]):
        raise Failed("agent_error", f"unknown or malformed: {json.dumps(step)[:80]}")
    return names[0], step[names[0]], {member: step[member] for member in BESIDE & step.keys()}


def well_formed(name, value):
    """Whether a step of this name can have this value."""
    if name in TEXTS or name in {"report", "echo_input"}:
        return isinstance(value, str)
    if name in {"wait_ms", "block_ms"}:
        return is_time(value)
    if not isinstance(value, dict):
        return False
    needed, allowed = OBJECTS.get(name, ({""}, set()))
    return (
        needed <= value.keys() <= needed | allowed
        and all(isinstance(value[member], str) for member in STRINGS & value.keys())
        and value.get("kind", "form") in {"approval", "question", "form"}
        and is_time(value.get("expires_in_ms", 0))
        and all(type(value[member]) is bool for member in BOOLEANS & value.keys())
        and (not value.get("partial") or isinstance(value["content"], str))
    )


def is_time(value):
    """Whether a value is a number of milliseconds."""
    return type(value) in (int, float) and value >= 0


async def block(seconds):
    """Wait like a tool that cannot be interrupted: a cancellation is noticed only afterwards ([SCRIPT-6])."""
    until, cancelled = time.monotonic() + seconds, None
    while (left := until - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError as late:
            cancelled = late
    if cancelled:
        raise cancelled


async def told(report):
    """Return what `report` emits, once the agent of that run has stopped ([SCRIPT-9])."""
    if report is None:
        raise Failed("agent_error", "report names no earlier script run")
    await report.stopped.wait()
    if report.run.cancelled_at is None:
        return {"stopped_after_ms": None, "steps_after_cancel": 0}
    elapsed = max(0, round((report.stopped_at - report.run.cancelled_at) * 1000))
    return {"stopped_after_ms": elapsed, "steps_after_cancel": report.late}
