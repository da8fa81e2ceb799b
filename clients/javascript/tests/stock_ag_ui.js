// The stock client of AG-UI, over a line that breaks after every few events: alone, and with `runwireFetch`.
// Prints what it said as JSON; `@ag-ui/client` has to be installed where it is run.

import { HttpAgent } from "@ag-ui/client";

import { createRunwireFetch } from "../src/ag_ui.js";
import { Stand } from "./stand.js";

const WORDS = Array.from({ length: 40 }, (_, place) => `w${place} `);
const EVENTS = [
  { type: "RUN_STARTED", threadId: "t", runId: "r" },
  { type: "TEXT_MESSAGE_START", messageId: "m", role: "assistant" },
  ...WORDS.map((delta) => ({ type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta })),
  { type: "TEXT_MESSAGE_END", messageId: "m" },
  { type: "RUN_FINISHED", threadId: "t", runId: "r" },
];

let starts = 0;
const stops = [];
const stand = await Stand.open({
  "POST /ag-ui": (answer, { headers }) => {
    const after = Number(headers["last-event-id"] ?? 0);
    if (after === 0) starts += 1;
    answer.response.writeHead(200, { "Content-Type": "text/event-stream" });
    const piece = EVENTS.slice(after, after + 10);
    for (const [place, event] of piece.entries()) answer.response.write(`id: ${after + place + 1}\ndata: ${JSON.stringify(event)}\n\n`);
    if (after + piece.length === EVENTS.length) answer.response.end();
    else setTimeout(() => answer.response.destroy(), 20);
  },
  "POST /slow": (answer) => {
    answer.response.writeHead(200, { "Content-Type": "text/event-stream" });
    answer.response.write(`id: 1\ndata: ${JSON.stringify(EVENTS[0])}\n\n`);
  },
  "POST *": (answer, { path }) => {
    stops.push(path);
    answer.json(200, { status: "running" });
  },
});

async function said(path, fetch, act = () => {}) {
  const agent = new HttpAgent({ url: stand.url + path, ...(fetch ? { fetch } : {}) });
  act(agent);
  const told = await agent.runAgent({ runId: "r" }).catch((reason) => String(reason));
  return { text: agent.messages.map(({ content }) => content).join(""), failed: typeof told === "string" };
}

const ignore = () => {}; // the stock client alone leaves the broken line to whoever runs it
process.on("unhandledRejection", ignore);
const alone = await said("/ag-ui");
await new Promise((resolve) => setTimeout(resolve, 100));
process.off("unhandledRejection", ignore);
starts = 0;
const returning = await said("/ag-ui", createRunwireFetch());
const returns = { ...returning, starts };
await said("/slow", createRunwireFetch(), (agent) => setTimeout(() => agent.abortRun(), 200));
while (!stops.length) await new Promise((resolve) => setTimeout(resolve, 20));
console.log(JSON.stringify({ whole: WORDS.join(""), alone, returns, stops }));
stand.close();
process.exit();
