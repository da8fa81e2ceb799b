// Plays scripts with the JavaScript port: a JSON object a line in, what became of the run a line out.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const { Failed, parse, play } = await import(pathToFileURL(process.argv[2]));

async function played({ prompt, run_id, answers = {}, cancel_after_ms }) {
  const events = [];
  const steps = parse(prompt);
  if (!steps) return { events, end: "no script" };
  const opened = {};
  const stop = new AbortController();
  const run = {
    principal: "alice",
    runId: run_id,
    signal: stop.signal,
    noneOpen: () => Promise.all(Object.values(opened)),
    answer: (id) => opened[id],
  };
  if (cancel_after_ms !== undefined)
    setTimeout(() => ((run.cancelledAt = performance.now()), stop.abort()), cancel_after_ms);
  try {
    for await (const event of play(steps, run)) {
      if (event.type === "input_request") opened[event.request_id] = sleep(20, answers[event.request_id] ?? null);
      events.push(event);
    }
  } catch (error) {
    if (error instanceof Failed)
      return { events, end: { code: error.code, data: error.data, retryable: error.retryable ?? null } };
    if (stop.signal.aborted) return { events, end: "cancelled" };
    throw error;
  }
  return { events, end: "completed" };
}

for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await played(JSON.parse(line))));
