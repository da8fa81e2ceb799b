// A page's client of Runwire in Node: starts or follows a run and prints its text and its end.

import { Run } from "./src/runwire.js";

const { discovery, prompt, runId, sessionId, transport } = JSON.parse(process.argv[2]);
const run = new Run(prompt ?? null, { discovery, runId, sessionId, transport });
await run.finished;
console.log(JSON.stringify({ text: run.text, ended: run.ended, failure: run.failure?.message }));
process.exit();
