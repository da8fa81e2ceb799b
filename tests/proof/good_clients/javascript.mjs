// The JavaScript client in Node, as `runwire check-client` wants it: told by the environment, reporting what it shows.

import { Run } from "../../../clients/javascript/src/runwire.js";

const { RUNWIRE_URL, RUNWIRE_PROMPT, RUNWIRE_TRANSPORT, RUNWIRE_TOKEN, RUNWIRE_TOKEN_URL, RUNWIRE_ACT, RUNWIRE_RUN } = process.env;
const token = RUNWIRE_TOKEN
  ? async ({ refused }) => (refused ? (await (await fetch(RUNWIRE_TOKEN_URL)).json()).token : RUNWIRE_TOKEN)
  : undefined;
const options = { discovery: RUNWIRE_URL, transport: RUNWIRE_TRANSPORT, token };
const run = RUNWIRE_RUN ? new Run(null, { ...options, runId: RUNWIRE_RUN }) : new Run(RUNWIRE_PROMPT, options);
const report = (shown) => console.log(JSON.stringify({ runwire: shown }));
const calls = {};

/** What a page would show of each call. */
function showCall({ type, call_id, data, content, partial }) {
  const previews = (calls[call_id] ??= { preview: "", called: false, result: null });
  if (type === "tool_delta") previews.preview += data;
  if (type === "tool_call") previews.called = true;
  if (type === "observation") previews.result = partial ? (previews.result ?? "") + content : content;
}

run.addEventListener("anew", () => report({ text: "" }));
run.addEventListener("event", ({ detail }) => {
  if (detail.call_id !== undefined) showCall(detail);
  if (detail.type === "token" && RUNWIRE_ACT === "cancel") run.cancel();
  const shown = Object.entries(calls).map(([id, { called, result }]) => [id, called ? result : null]);
  report({ text: run.text, calls: Object.fromEntries(shown) });
});
await run.finished;
const { ended, failure } = run;
if (ended) report({ ended: ended.type === "done" ? (ended.status ?? "completed") : "failed", code: ended.code });
else report({ gave_up: failure?.message ?? "left" });
