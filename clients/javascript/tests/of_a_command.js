// Every scenario, played by a client of another language: `node of_a_command.js COMMAND...` starts a command that reads
// the client's part of a scenario as a line of JSON, `{number, url, ...part}`, and writes `{number, outcome}`.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { SCENARIOS } from "./scenarios.js";
import { Stand } from "./stand.js";

const AT_ONCE = 8;
const [program, ...words] = process.argv.slice(2);
const player = spawn(program, words, { stdio: ["pipe", "pipe", "inherit"] });
const waiting = new Map();
createInterface({ input: player.stdout }).on("line", (line) => {
  const { number, outcome } = JSON.parse(line);
  waiting.get(number)(outcome);
});
player.on("exit", (code) => code && (console.error(`the client ended with ${code}`), process.exit(2)));

// Whether there is a WebSocket at all is an option of JavaScript alone.
const parts = Object.entries(SCENARIOS).filter(([, { options = {} }]) => !("WebSocket" in options));
let failed = 0;

async function playNext() {
  for (let next; (next = parts.shift()); ) {
    const [name, { script, direct, check, onlyNode: _, ...part }] = next;
    const number = parts.length;
    const stand = await Stand.open(script);
    const url = direct ? `${stand.url.replace("http", "ws")}/ws/generate` : stand.url;
    const answered = new Promise((resolve) => waiting.set(number, resolve));
    player.stdin.write(`${JSON.stringify({ number, url, ...part })}\n`);
    try {
      const outcome = await answered;
      if (outcome.raised) throw new Error(outcome.raised);
      check(outcome, stand);
      console.log(`ok ${name}`);
    } catch (problem) {
      failed++;
      console.log(`not ok ${name}\n  ${problem.message.replaceAll("\n", "\n  ")}`);
    } finally {
      stand.close();
    }
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, playNext));
player.stdin.end();
process.exitCode = failed ? 1 : 0;
