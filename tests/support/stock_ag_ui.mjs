// The stock client of AG-UI, told on its command line what to do; prints what it saw as a line of JSON for each step.
// `{ url, returns, threadId, steps: [{ runId, prompt?, approve?, stopAfter?, anew? }] }`: `returns` gives it the `fetch` of
// the JavaScript client of Runwire, `anew` is a page that was loaded again.

import { HttpAgent } from "@ag-ui/client";

import { createRunwireFetch } from "./src/ag_ui.js";

const told = JSON.parse(process.argv[2]);
process.on("unhandledRejection", () => {}); // the stock client leaves a line that broke to whoever runs it
console.error = () => {};
const fetch = told.returns ? createRunwireFetch() : undefined;
const open = () => new HttpAgent({ url: told.url, threadId: told.threadId, ...(fetch ? { fetch } : {}) });

let agent = open();
for (const step of told.steps) {
  const pending = agent.pendingInterrupts;
  if (step.anew) agent = open();
  if (step.prompt) agent.messages.push({ id: crypto.randomUUID(), role: "user", content: step.prompt });
  const resume = step.approve === undefined ? undefined : agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload: step.approve }));
  const seen = { text: "", terminals: [], events: 0, pendingBefore: pending.length };
  const subscriber = {
    onEvent({ event }) {
      seen.events += 1;
      if (event.type === "TEXT_MESSAGE_CONTENT") seen.text += event.delta;
      if (event.type === "RUN_FINISHED" || event.type === "RUN_ERROR") seen.terminals.push(event);
      if (step.stopAfter && seen.text.length >= step.stopAfter) agent.abortRun();
    },
  };
  const failed = await agent.runAgent({ runId: step.runId, resume }, subscriber).then(() => null, String);
  console.log(JSON.stringify({ ...seen, failed, interrupts: agent.pendingInterrupts }));
}
setTimeout(() => process.exit(), step_grace());

/** What was stopped is told to the server beside the run. */
function step_grace() {
  return told.steps.some(({ stopAfter }) => stopAfter) ? 1500 : 0;
}
