// The package `@microsoft/fetch-event-source`, used as its documentation says: one POST, whose stream it reads.

import { createRequire } from "node:module";

const { RUNWIRE_MODULES, RUNWIRE_RUNS, RUNWIRE_PROMPT } = process.env;
globalThis.window = { fetch, clearTimeout, setTimeout };
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = createRequire(`${RUNWIRE_MODULES}/`)("@microsoft/fetch-event-source");

let text = "";
await fetchEventSource(RUNWIRE_RUNS, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ prompt: RUNWIRE_PROMPT }),
  onmessage({ data }) {
    if (!data) return;
    const message = JSON.parse(data);
    if (message.type === "token") text += message.data;
    const ended = message.type === "done" ? (message.status ?? "completed") : message.type === "error" ? "failed" : undefined;
    console.log(JSON.stringify({ runwire: { text, ended } }));
  },
});
