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

TEXTS = {"token": "data", "replace": "data", "thinking": "content"}
#: The value of each step: of a type, `float` being a time; one of some words; or an object, of which `?` may be absent.
STEPS = {
    **dict.fromkeys([*TEXTS, "echo_input", "report"], str),
    **dict.fromkeys(["wait_ms", "block_ms"], float),
    "tool_delta": {"call_id": str, "name": str, "data": str},
    "tool_call": {"call_id": str, "name": str, "input": object},
    "observation": {"call_id": str, "content": object, "is_error?": bool, "partial?": bool},
    "input_request": {
        **{"request_id": str, "kind": ("approval", "question", "form")},
        **{"data?": str, "call_id?": str, "schema?": object, "expires_in_ms?": float},
    },
    "fail": {"code": str, "data": str, "retryable?": bool},
}
reports = {}  # (principal, run_id) → the Run of an earlier script, oldest first


class Failed(Exception):
    """Ends the run with an `error` of `code`; `retryable` is None where the script does not say."""

    def __init__(self, data, code="agent_error", retryable=None):
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
    run.late, run.stopped, reports[run.principal, run.run_id] = 0, asyncio.Event(), run
    calls = {}  # whether each is open
    while len(reports) > MAX_REPORTS:
        del reports[next(iter(reports))]
    try:
        for count, step in enumerate(expanded(steps), start=1):
            if count > MAX_STEPS:
                raise Failed(f"the script has more than {MAX_STEPS} steps")
            if count % 256 == 0:
                await asyncio.sleep(0)  # a script that never waits still lets others have their turn
            run.late += run.cancelled_at is not None
            name, value, beside = checked(step)
            in_order(name, value, calls)
            if name not in {"input_request", "echo_input"}:
                await run.none_open()  # [SCRIPT-7]
            if name in TEXTS:
                if value or name != "token":
                    yield {"type": name, TEXTS[name]: value} | (beside if name == "thinking" else {})
            elif name == "wait_ms":
                await asyncio.sleep(value / 1000)
            elif name == "block_ms":
                await block(value / 1000)
            elif name == "fail":
                raise Failed(value["data"], value["code"], value.get("retryable"))
            elif name in {"echo_input", "report"}:
                told = await (answered(value, run) if name == "echo_input" else stopped(value, run))
                yield {"type": "token", "data": json.dumps(told, ensure_ascii=False)}
            else:
                yield {"type": name} | value | beside
        await run.none_open()
    finally:
        run.stopped_at = time.monotonic()
        run.stopped.set()


def expanded(steps):
    """Yield the steps with every `repeat` unrolled, without holding them all."""
    for step in steps:
        match step:
            case {"repeat": times, "steps": [_, *_] as inner, **more} if (
                type(times) in (int, float) and 1 <= times < float("inf") and times == int(times) and not more
            ):
                for _ in range(int(times)):
                    yield from expanded(inner)
            case _:
                yield step  # one that is no good is told when its turn comes


def checked(step):
    """Return name, value and further members of a step; raises Failed for one that is malformed ([SCRIPT-4])."""
    parts = dict(step) if isinstance(step, dict) else {}
    beside = {name: parts.pop(name) for name in ("agent", "parent_call_id") if name in parts}
    name, value = parts.popitem() if len(parts) == 1 else ("", None)
    if (
        name not in STEPS
        or not fits(value, STEPS[name])
        or (name == "observation" and value.get("partial") and not isinstance(value["content"], str))
    ):
        raise Failed(f"unknown or malformed: {json.dumps(step)[:80]}")
    return name, value, beside


def in_order(name, value, calls):
    """Note what becomes of a call; raises Failed for one made twice, or observed when it is not open."""
    if name == "tool_call" and value["call_id"] in calls:
        raise Failed("a call is made once")
    if name == "observation" and not calls.get(value["call_id"]):
        raise Failed("an observation is of a call that is open")
    if name in {"tool_call", "observation"}:
        calls[value["call_id"]] = name == "tool_call" or value.get("partial", False)


def fits(value, shape):
    """Whether a value is as STEPS says."""
    if isinstance(shape, dict):
        members = {key.rstrip("?"): key for key in shape}
        return (
            isinstance(value, dict)
            and value.keys() <= members.keys()
            and all(
                fits(value[name], shape[key]) if name in value else key != name
                for name, key in members.items()
            )
        )
    if shape is float:
        return type(value) in (int, float) and value >= 0
    return value in shape if isinstance(shape, tuple) else isinstance(value, shape)


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


async def answered(request_id, run):
    """Return the answer to a request ([SCRIPT-8])."""
    try:
        return await run.answer(request_id)
    except KeyError:
        raise Failed("echo_input names a request that was not opened") from None


async def stopped(run_id, run):
    """Return what there is to tell of an earlier run, once its agent has stopped ([SCRIPT-9])."""
    earlier = reports.get((run.principal, run_id))
    if earlier is None or earlier is run:
        raise Failed("report names no earlier script run")
    await earlier.stopped.wait()
    if earlier.cancelled_at is None:
        return {"stopped_after_ms": None, "steps_after_cancel": 0}
    elapsed = max(0, round((earlier.stopped_at - earlier.cancelled_at) * 1000))
    return {"stopped_after_ms": elapsed, "steps_after_cancel": earlier.late}
