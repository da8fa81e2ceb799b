// Every scenario in Node, all at once.

import { describe, test } from "node:test";

import { Run } from "../src/runwire.js";
import { play } from "./play.js";
import { SCENARIOS } from "./scenarios.js";
import { Stand } from "./stand.js";

const skip = globalThis.WebSocket ? false : "start node with --experimental-websocket";

describe("a client", { concurrency: true, skip }, () => {
  for (const [name, { script, direct, check, ...part }] of Object.entries(SCENARIOS)) {
    test(name, async () => {
      const stand = await Stand.open(script);
      const url = direct ? `${stand.url.replace("http", "ws")}/ws/generate` : stand.url;
      try {
        check(await play(Run, url, part), stand);
      } finally {
        stand.close();
      }
    });
  }
});
