// Runs over a line that breaks: `node soak.js URL TRANSPORT COUNT`, against a server that plays scripts.
// Ends with 1 unless each text is exact.

import { Run } from "../src/runwire.js";

const [discovery, transport, count] = process.argv.slice(2);
const WORDS = Array.from({ length: 100 }, (_, place) => `w${place}é😀\u2028 `);
const SCRIPT = JSON.stringify({ runwire_script: WORDS.flatMap((token) => [{ token }, { wait_ms: 10 }]) });

const runs = Array.from({ length: Number(count) }, () => new Run(SCRIPT, { discovery, transport }));
await Promise.all(runs.map(({ finished }) => finished));
const bad = runs.filter(({ text, ended }) => text !== WORDS.join("") || ended?.status !== "completed");
for (const { text, ended, failure } of bad) console.log(failure?.message, ended, text);
process.exit(bad.length ? 1 : 0);
