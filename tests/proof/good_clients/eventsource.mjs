// The package `eventsource`, used as its documentation says, behind a `POST` that starts the run.

import { pathToFileURL } from "node:url";

const { RUNWIRE_MODULES, RUNWIRE_RUNS, RUNWIRE_PROMPT } = process.env;
const { EventSource } = await import(pathToFileURL(`${RUNWIRE_MODULES}/eventsource/dist/index.js`));

const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ prompt: RUNWIRE_PROMPT }) };
const { run_id } = await (await fetch(RUNWIRE_RUNS, asked)).json();
const events = new EventSource(`${RUNWIRE_RUNS}/${run_id}/events`);
let text = "";
events.addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  if (message.type === "token") text += message.data;
  const ended = message.type === "done" ? (message.status ?? "completed") : message.type === "error" ? "failed" : undefined;
  console.log(JSON.stringify({ runwire: { text, ended } }));
  if (ended) events.close();
});
