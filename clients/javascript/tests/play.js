// Plays the client's part of a scenario, in Node and in a page alike, and tells what its user saw.

/** `acts` names a method of the run and its arguments for the first event of a type; `tokens` come one after another. */
export async function play(Run, url, { prompt = "x", options = {}, tokens, acts = {}, ms, after = 3, linger = 0 }) {
  const left = [...(tokens ?? [])];
  const token = tokens && (() => left.shift() ?? "");
  const run = new Run(prompt, { discovery: url, ...options, ...(token ? { token } : {}) });
  const seen = { events: [], states: [], notices: [], anew: 0 };
  const todo = { ...acts };
  const act = (kind) => {
    const [method, ...args] = todo[kind] ?? [];
    delete todo[kind];
    if (method) run[method](...args);
  };
  run.addEventListener("event", ({ detail }) => (seen.events.push(detail.type), act(detail.type)));
  let told = 0;
  const triedAgain = new Promise((resolve) => run.addEventListener("state", () => ++told === after && resolve()));
  run.addEventListener("state", ({ detail }) => (seen.states.push(detail.state), act(detail.state)));
  run.addEventListener("notice", ({ detail }) => seen.notices.push(detail.code));
  run.addEventListener("anew", () => seen.anew++);
  act("begin");
  await Promise.race([run.finished, ms ? triedAgain.then(() => pause(ms)) : pause(30000)]);
  await pause(linger);
  run.leave();
  const { id, text, cursor, ended, failure, transport } = run;
  return { ...seen, id, text, cursor, ended, transport, failure: failure && { code: failure.code, message: failure.message } };
}

/** Wait, without keeping a process that has nothing else to do. */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms).unref?.());
}
