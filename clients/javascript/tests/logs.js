// Logs of runs and servers that serve them, of which a scenario spoils a part.

/** The events of a run that says `texts` and is completed. */
export function logOf(texts, { end = true } = {}) {
  const events = texts.map((data, place) => ({ type: "token", seq: place + 1, data }));
  if (end) events.push({ type: "done", seq: texts.length + 1, data: "generation completed", status: "completed" });
  return events;
}

export const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

export const started = (run_id, members = {}) => ({
  type: "started", run_id, epoch: "e1", session_id: "s".repeat(22), trace_id: TRACE, status: "running", ...members,
}); // prettier-ignore

export const resumed = (run_id, after, members = {}) => ({
  type: "resumed", run_id, epoch: "e1", next_seq: after + 1, trace_id: TRACE, status: "running", ...members,
}); // prettier-ignore

/** Answer `start` and `resume` on a WebSocket from a log, and do what `spoil(event, connection)` says with each event. */
export function serveSocket(connection, log, { epoch = "e1", send = (event) => connection.say(event), after = () => {} } = {}) {
  connection.onmessage = (message) => {
    if (message.type === "start") {
      connection.run_id = message.run_id;
      connection.say(started(message.run_id, { re: message.id, epoch }));
    } else if (message.type === "resume") {
      connection.run_id = message.run_id;
      if (message.epoch !== undefined && message.epoch !== epoch) {
        return connection.say({ type: "error", re: message.id, code: "not_found", retryable: false, data: "no such log" });
      }
      connection.say(resumed(message.run_id, message.after, { re: message.id, epoch }));
    } else {
      return;
    }
    for (const event of log) if (event.seq > (message.after ?? 0)) send({ run_id: message.run_id, ...event }, message);
    after(message);
  };
  connection.greet();
}

/** Answer over HTTP from a log: the handlers of `POST /v1/runs` and of everything below it. */
export function serveHttp(log, { write = (stream, event) => stream.say(event), end = (stream) => stream.end() } = {}) {
  const serve = (answer, first, after) => {
    const stream = answer.stream({ epoch: "e1" });
    stream.raw(`retry: 2000\nid: e1.${after}\n\n`);
    stream.say(first);
    for (const event of log) if (event.seq > after) write(stream, { run_id: first.run_id, ...event });
    end(stream, after);
  };
  return {
    "POST /v1/runs": (answer, { body }) => serve(answer, started(JSON.parse(body).run_id), 0),
    "GET *": (answer, { headers, path }) => {
      const after = Number((headers["last-event-id"] ?? "e1.0").split(".")[1]);
      serve(answer, resumed(path.split("/")[3], after), after);
    },
  };
}
