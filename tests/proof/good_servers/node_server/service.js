// All runs of the server: starting them once, one after another in a session, within limits and deadlines.

import { randomBytes } from "node:crypto";
import { limits, Refusal } from "./limits.js";
import { traceIdOf } from "./messages.js";
import { AgentError, Ended, Run } from "./run.js";
import { play } from "./script.js";

export const runs = new Map();
const sessions = new Map();
let unfinished = 0;
let draining = false;
let onQuiet = () => {};

export const isDraining = () => draining;

export const newTraceId = () => randomBytes(16).toString("hex");

/** Returns a run that is known; throws Refusal. */
export function get(runId) {
  const run = runs.get(runId);
  if (!run) throw new Refusal("not_found", "no such run");
  return run;
}

/** Returns the run that a `start` asks for, and whether it is a new one; throws Refusal. */
export function begin(start, headerTraceId) {
  const known = runs.get(start.run_id);
  if (known && !known.hasBody(start)) throw new Refusal("conflict", "this run_id stands for another start");
  if (known) return { run: known, isNew: false };
  if (draining) throw new Refusal("unavailable", "the server takes on no new runs");
  if (unfinished >= limits.runs_per_principal) throw new Refusal("busy", "too many runs are unfinished");
  const kept = [...runs.values()].reduce((sum, run) => sum + run.keptBytes, 0);
  if (kept >= limits.kept_bytes_per_principal) throw new Refusal("busy", "as much is kept as may be");
  const traceId = traceIdOf(start.traceparent) ?? headerTraceId ?? newTraceId();
  const run = new Run(start, traceId, ended);
  runs.set(run.id, run);
  unfinished++;
  const session = sessions.get(run.sessionId) ?? [];
  sessions.set(run.sessionId, session);
  session.push(run);
  if (session.length === 1) work(run);
  return { run, isNew: true };
}

async function work(run) {
  run.status = "running";
  const deadline = setTimeout(() => run.expire(), limits.run_s * 1000);
  try {
    await play(run, runs);
    run.complete();
  } catch (error) {
    if (error instanceof AgentError) run.fail(error.code, error.message, error.retryable);
    else if (!(error instanceof Ended)) run.fail("agent_error", "the agent failed");
  }
  clearTimeout(deadline);
  run.agentStopped();
}

function ended(run) {
  if (--unfinished === 0) onQuiet();
  setTimeout(() => runs.delete(run.id), limits.resume_window_s * 1000).unref();
  const session = sessions.get(run.sessionId);
  const wasFirst = session[0] === run;
  session.splice(session.indexOf(run), 1);
  if (session.length === 0) sessions.delete(run.sessionId);
  else if (wasFirst) work(session[0]);
}

/** Takes on no new runs; resolves when all have ended, by themselves or after `drain_s` [DRAIN-1, DRAIN-5]. */
export async function drain() {
  draining = true;
  if (unfinished > 0) {
    await new Promise((resolve) => {
      onQuiet = resolve;
      setTimeout(resolve, limits.drain_s * 1000);
    });
  }
  for (const run of runs.values()) run.fail("worker_lost", "the server was stopped");
}
