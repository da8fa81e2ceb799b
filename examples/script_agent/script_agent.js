// The script agent of chapter 16 in JavaScript, for Node. Never enable it in production.
//
//     const steps = parse(prompt);
//     for await (const event of steps ? play(steps, run) : yourAgent(prompt))
//       if (!append(event)) break; // puts run_id and seq on it; Failed becomes the `error` that ends the run
//
// `run` is what your server tells about a run: `principal`, `runId`, `signal`, an AbortSignal for its cancellation, and
// `cancelledAt`, the performance.now() of it. For the feature `input` there are `noneOpen()`, which waits until no input
// request of the run is open, and `answer(requestId)`, which waits until a request is closed and gives its answer: null
// if it expired, undefined if it was never opened. A cancelled run throws the reason of its signal.

import { setTimeout as sleep } from "node:timers/promises";

const MAX_STEPS = 1_000_000; // [SCRIPT-10]
const MAX_REPORTS = 10_000; // runs that `report` can name; the oldest are forgotten
const MOST_MS = 2 ** 31 - 1; // the longest time of a timer

// What the value of a step can be; `of` is an object with these members and no others.
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const any = (value) => value !== undefined;
const text = (value) => typeof value === "string";
const flag = (value) => typeof value === "boolean";
const time = (value) => typeof value === "number" && value >= 0;
const kind = (value) => ["approval", "question", "form"].includes(value);
const maybe = (fits) => (value) => value === undefined || fits(value);
const of = (members) => (value) =>
  isObject(value) &&
  Object.keys({ ...members, ...value }).every((name) => Object.hasOwn(members, name) && members[name](value[name]));

const BESIDE = ["agent", "parent_call_id"];
const TEXTS = { token: "data", replace: "data", thinking: "content" };
const result = of({ call_id: text, content: any, is_error: maybe(flag), partial: maybe(flag) });
const STEPS = new Map(
  Object.entries({
    ...{ token: text, replace: text, thinking: text, echo_input: text, report: text, wait_ms: time, block_ms: time },
    tool_delta: of({ call_id: text, name: text, data: text }),
    tool_call: of({ call_id: text, name: text, input: any }),
    observation: (value) => result(value) && (!value.partial || text(value.content)),
    input_request: of({
      ...{ request_id: text, kind, data: maybe(text), call_id: maybe(text) },
      ...{ schema: maybe(any), expires_in_ms: maybe(time) },
    }),
    fail: of({ code: text, data: text, retryable: maybe(flag) }),
  }),
);
const repeats = of({
  repeat: (times) => Number.isInteger(times) && times >= 1,
  steps: (steps) => Array.isArray(steps) && steps.length > 0,
});

const reports = new Map(); // "principal runId" → what `report` tells, oldest first

/** Ends the run with an `error` of `code`; `retryable` is undefined where the script does not say. */
export class Failed extends Error {
  constructor(code, data, retryable) {
    super(data);
    Object.assign(this, { code, data, retryable });
  }
}

/** Returns the steps of a script, or null when the prompt is for your own agent ([SCRIPT-11]). */
export function parse(prompt) {
  try {
    const value = JSON.parse(prompt);
    const isScript = isObject(value) && Object.keys(value).join() === "runwire_script";
    return isScript && Array.isArray(value.runwire_script) ? value.runwire_script : null;
  } catch {
    return null;
  }
}

/** Yields the events of a script, without `run_id` and `seq`; an `input_request` keeps `expires_in_ms`. */
export async function* play(steps, run) {
  const report = { run, late: 0, stoppedAt: 0 };
  report.stopped = new Promise((resolve) => (report.stop = resolve));
  reports.set(`${run.principal} ${run.runId}`, report);
  while (reports.size > MAX_REPORTS) reports.delete(reports.keys().next().value);
  const calls = new Map(); // whether each is open
  const noneOpen = () => stoppable(run.noneOpen?.(), run.signal);
  try {
    let count = 0;
    for (const step of expanded(steps)) {
      if (++count > MAX_STEPS) throw new Failed("agent_error", `the script has more than ${MAX_STEPS} steps`);
      if (count % 256 === 0) await new Promise(setImmediate); // others have their turn too
      run.signal.throwIfAborted();
      if (run.cancelledAt != null) report.late += 1;
      const [name, value, beside] = checked(step);
      inOrder(name, value, calls);
      if (name !== "input_request" && name !== "echo_input") await noneOpen(); // [SCRIPT-7]
      if (name in TEXTS) {
        if (value || name !== "token") yield { type: name, [TEXTS[name]]: value, ...(name === "thinking" ? beside : {}) };
      } else if (name === "fail") {
        throw new Failed(value.code, value.data, value.retryable);
      } else if (name === "wait_ms") {
        await sleep(Math.min(value, MOST_MS), null, { signal: run.signal }); // [SCRIPT-5]
      } else if (name === "block_ms") {
        await sleep(Math.min(value, MOST_MS)); // [SCRIPT-6]: whatever happens to the run
        run.signal.throwIfAborted();
      } else if (name === "echo_input") {
        const answer = await stoppable(run.answer?.(value), run.signal);
        if (answer === undefined) throw new Failed("agent_error", "echo_input names a request that was not opened");
        yield { type: "token", data: JSON.stringify(answer) };
      } else if (name === "report") {
        const named = reports.get(`${run.principal} ${value}`);
        const earlier = await told(named === report ? undefined : named, run.signal);
        yield { type: "token", data: JSON.stringify(earlier) };
      } else {
        yield { type: name, ...value, ...beside };
      }
    }
    await noneOpen();
  } finally {
    report.stoppedAt = performance.now();
    report.stop();
  }
}

/** Yields the steps with every `repeat` unrolled, without holding them all. */
function* expanded(steps) {
  for (const step of steps) {
    if (!repeats(step)) yield step; // one that is no good is told when its turn comes
    else for (let round = 0; round < step.repeat; round += 1) yield* expanded(step.steps);
  }
}

/** Returns name, value and further members of a step ([SCRIPT-4]). */
function checked(step) {
  const names = isObject(step) ? Object.keys(step).filter((name) => !BESIDE.includes(name)) : [];
  if (names.length !== 1 || !STEPS.get(names[0])?.(step[names[0]]))
    throw new Failed("agent_error", `unknown or malformed: ${JSON.stringify(step).slice(0, 80)}`);
  const { [names[0]]: value, ...beside } = step;
  return [names[0], value, beside];
}

/** Notes what becomes of a call; throws for one made twice, or observed when it is not open. */
function inOrder(name, value, calls) {
  if (name === "tool_call" && calls.has(value.call_id)) throw new Failed("agent_error", "a call is made once");
  if (name === "observation" && !calls.get(value.call_id))
    throw new Failed("agent_error", "an observation is of a call that is open");
  if (name === "tool_call" || name === "observation")
    calls.set(value.call_id, name === "tool_call" || value.partial === true);
}

/** Waits for `promise`, but no longer than until `signal` is aborted. */
async function stoppable(promise, signal) {
  let stop;
  const stopped = new Promise((_, reject) => (stop = () => reject(signal.reason)));
  signal.throwIfAborted();
  signal.addEventListener("abort", stop);
  return Promise.race([promise, stopped]).finally(() => signal.removeEventListener("abort", stop));
}

/** Returns what `report` emits, once the agent of that run has stopped ([SCRIPT-9]). */
async function told(report, signal) {
  if (!report) throw new Failed("agent_error", "report names no earlier script run");
  await stoppable(report.stopped, signal);
  const cancelledAt = report.run.cancelledAt;
  if (cancelledAt == null) return { stopped_after_ms: null, steps_after_cancel: 0 };
  const elapsed = Math.max(0, Math.round(report.stoppedAt - cancelledAt));
  return { stopped_after_ms: elapsed, steps_after_cancel: report.late };
}
