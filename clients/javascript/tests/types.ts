// What a user of the types writes. It is compiled and not run; a line that begins with @ts-expect-error has to fail.

import { createRunwireFetch, runwireFetch } from "runwire/ag-ui";
import { Run, RunwireError, type Done, type Failed, type RunEvent } from "runwire";

const run = new Run("What is AI?", {
  discovery: new URL("http://localhost:8080"),
  token: async ({ refused }) => (refused === null ? "first" : "second"),
  onDisconnect: "continue",
});

run.addEventListener("event", ({ detail }) => {
  const event: RunEvent = detail;
  if (event.type === "token") console.log(event.data.length, event.seq);
  if (event.type === "tool_call") console.log(event.name, event.input);
  if (event.type === "input_request") run.answer(event.request_id, true);
  // @ts-expect-error a token has no name
  if (event.type === "token") console.log(event.name);
});
run.addEventListener("state", ({ detail: { state, waitMs } }) => console.log(state === "offline", waitMs?.toFixed()));
run.addEventListener("anew", () => console.log(run.text));

const over: Run = await run.finished;
const end: Done | Failed | null = over.ended;
const failure: RunwireError | null = over.failure;
console.log(end?.data, failure?.retryAfterMs);

const made: typeof fetch = createRunwireFetch({ fetch: runwireFetch, silenceMs: 1000 });
console.log(made.length);

new Run(null, { runId: "r".repeat(22) }).leave();
// @ts-expect-error there is no such transport
new Run("x", { transport: "carrier pigeon" });
