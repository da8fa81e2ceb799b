// The agents: the script agent, which does what a test tells it, and an echo for every other prompt.

import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { isTerminalCode } from "./limits.js";
import { isObject, isText } from "./messages.js";
import { AgentError, Ended } from "./run.js";

const MOST_STEPS = 1_000_000;

const isFlag = (value) => typeof value === "boolean";
const isAnything = () => true;
const isName = (value) => isText(value) && value !== "" && value.length <= 256;
const isMs = (value) => Number.isFinite(value) && value >= 0;

/** Returns a test for objects with these members; a name that ends in `?` may be absent. */
function shape(members) {
  const known = Object.entries(members).map(([name, test]) => [name.replace("?", ""), test, name.endsWith("?")]);
  return (value) =>
    isObject(value) &&
    Object.keys(value).every((name) => known.some(([own]) => own === name)) &&
    known.every(([name, test, optional]) => (Object.hasOwn(value, name) ? test(value[name]) : optional));
}

const STEPS = {
  token: isText,
  replace: isText,
  thinking: isText,
  tool_delta: shape({ call_id: isName, name: isText, data: isText }),
  tool_call: shape({ call_id: isName, name: isText, input: isAnything }),
  observation: (value) =>
    shape({ call_id: isName, content: isAnything, "is_error?": isFlag, "partial?": isFlag })(value) &&
    (!value.partial || isText(value.content)),
  wait_ms: isMs,
  block_ms: isMs,
  report: isText,
  fail: shape({ code: (code) => isText(code) && isTerminalCode(code), data: isText, "retryable?": isFlag }),
};

/** Returns the steps of a prompt that is a script [SCRIPT-11]. */
function scriptOf(prompt) {
  try {
    const value = JSON.parse(prompt);
    const isScript = isObject(value) && Object.keys(value).join() === "runwire_script";
    return isScript && Array.isArray(value.runwire_script) ? value.runwire_script : undefined;
  } catch {
    return undefined;
  }
}

/** Returns how many steps a list stands for; throws AgentError for one that is unknown or malformed. */
function count(steps) {
  if (!Array.isArray(steps)) throw new AgentError("steps are a list");
  let sum = 0;
  for (const step of steps) {
    if (!isObject(step)) throw new AgentError("a step is an object");
    const { agent, parent_call_id: parent, ...rest } = step;
    const [name, ...others] = Object.keys(rest);
    if (Object.keys(step).sort().join() === "repeat,steps") {
      if (!Number.isSafeInteger(step.repeat) || step.repeat < 1 || !(step.steps?.length > 0)) {
        throw new AgentError("repeat takes an integer of at least 1, and steps");
      }
      sum += step.repeat * count(step.steps);
      continue;
    }
    const beside = [agent, parent].filter((value) => value !== undefined);
    const isAnswer = name === "token" || name === "replace";
    const fits = others.length === 0 && Object.hasOwn(STEPS, name ?? "") && STEPS[name](rest[name]);
    if (!fits || !beside.every(isName) || (isAnswer && beside.length > 0)) {
      throw new AgentError("a step is unknown or malformed");
    }
    sum++;
  }
  return sum;
}

/** Lets the agent of a run work until it is at its end; throws what ends it otherwise. */
export async function play(run, runs) {
  const steps = scriptOf(run.start.prompt);
  if (steps === undefined) {
    for (const word of `You said: ${run.start.prompt}`.split(" ")) {
      run.append({ type: "token", data: `${word} ` });
      await pause(20, run);
    }
    return;
  }
  if (count(steps) > MOST_STEPS) throw new AgentError("a script of more than a million steps");
  const turn = { steps: 0 };
  await playAll(steps, run, runs, turn);
}

async function playAll(steps, run, runs, turn) {
  for (const step of steps) {
    if ("repeat" in step) {
      for (let time = 0; time < step.repeat; time++) await playAll(step.steps, run, runs, turn);
    } else {
      if (++turn.steps % 200 === 0) await setImmediate();
      if (run.finished) throw new Ended();
      const waiting = playStep(step, run, runs);
      if (waiting) await waiting;
    }
  }
}

/** Plays one step; returns a promise when it takes time. */
function playStep({ agent, parent_call_id: parent, ...step }, run, runs) {
  const [[name, value]] = Object.entries(step);
  if (run.cancelledAt !== undefined) run.stepsAfterCancel++;
  if (name === "wait_ms") return pause(value, run);
  if (name === "block_ms") return sleep(Math.min(value, 2 ** 31 - 1));
  if (name === "report") return tell(value, run, runs);
  if (name === "fail") throw new AgentError(value.data, value.code, value.retryable);
  if (name !== "token" || value !== "") {
    const body = isObject(value) ? value : { [name === "thinking" ? "content" : "data"]: value };
    run.append({ type: name, ...body, ...(agent && { agent }), ...(parent && { parent_call_id: parent }) });
  }
  return undefined;
}

/** Waits, and notices at once that the run has ended [SCRIPT-5]. */
async function pause(ms, run) {
  try {
    await sleep(Math.min(ms, 2 ** 31 - 1), undefined, { signal: run.stop.signal });
  } catch {
    throw new Ended();
  }
}

async function tell(runId, run, runs) {
  run.append({ type: "token", data: JSON.stringify(await report(runId, run, runs)) });
}

/** Waits until the agent of an earlier run has stopped; tells how long that took [SCRIPT-9]. */
async function report(runId, run, runs) {
  const other = runs.get(runId);
  if (!other || other === run || other.status === "queued" || other.neverBegan) throw new AgentError("a report on a run that is not known");
  const stoppedAt = await other.stopped;
  const took = other.cancelledAt === undefined ? null : Math.max(0, stoppedAt - other.cancelledAt);
  return { stopped_after_ms: took, steps_after_cancel: other.stepsAfterCancel };
}
