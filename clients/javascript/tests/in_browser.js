// Every scenario in a browser: prints the URL of a page that plays them all, waits for what it saw, and judges that by
// the wire. Ends with 1 if a scenario failed.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { SCENARIOS } from "./scenarios.js";
import { Stand } from "./stand.js";

const PAGE = `<!doctype html><meta charset="utf-8"><title>playing</title><script type="module">
  import { Run } from "/src/runwire.js";
  import { play } from "/tests/play.js";
  const plan = await (await fetch("/plan")).json();
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let one; (one = plan.shift()); ) {
      const body = JSON.stringify([one.name, await play(Run, one.url, one.part)]);
      await fetch("/outcome", { method: "POST", body });
    }
  }));
  document.title = "played";
</script>`;

const stands = {};
const plan = [];
for (const [name, { script, direct, check, onlyNode, ...part }] of Object.entries(SCENARIOS)) {
  if (onlyNode) continue;
  const stand = (stands[name] = await Stand.open(script));
  plan.push({ name, part, url: direct ? `${stand.url.replace("http", "ws")}/ws/generate` : stand.url });
}
let failed = 0;
let left = plan.length;

const server = createServer(async (request, response) => {
  const path = request.url;
  const send = (type, text) => response.writeHead(200, { "Content-Type": type }).end(text);
  if (path === "/") return send("text/html", PAGE);
  if (path === "/plan") return send("application/json", JSON.stringify(plan));
  if (/^\/(src|tests)\/\w+\.js$/.test(path)) return send("text/javascript", await readFile(new URL(`..${path}`, import.meta.url)));
  if (path !== "/outcome") return response.writeHead(404).end();
  let body = "";
  for await (const piece of request) body += piece;
  const [name, outcome] = JSON.parse(body);
  try {
    SCENARIOS[name].check(outcome, stands[name]);
    console.log(`ok ${name}`);
  } catch (reason) {
    failed += 1;
    console.log(`not ok ${name}: ${reason.message}\n${JSON.stringify(outcome)}`);
  }
  stands[name].close();
  response.end();
  if (--left === 0) setTimeout(() => process.exit(failed ? 1 : 0), 200);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
