// Every scenario in Node, some at a time: a machine that is busy with many is slow with each.

import { describe, test } from "node:test";

import { Run } from "../src/runwire.js";
import { play } from "./play.js";
import { SCENARIOS } from "./scenarios.js";
import { Stand } from "./stand.js";

const skip = globalThis.WebSocket ? false : "start node with --experimental-websocket";

describe("a client", { concurrency: 8, skip }, () => {
  for (const [name, { script, direct, check, onlyNode: _, ...part }] of Object.entries(SCENARIOS)) {
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
