// A hook that starts runs, follows them and shows what they are: one run at a time, the last that was started.

import { useCallback, useEffect, useRef, useState } from "react";
import { Run } from "runwire";

const NOTHING = { id: null, state: "idle", text: "", steps: [], questions: [], ended: null, failure: null };

/**
 * `options` are those of `Run`. Returns what is shown of the run, and what can be done: `start(prompt)`,
 * `follow(runId)` for a run of another tab or of this page before a reload, `cancel()` and `answer(requestId, data)`.
 */
export function useRun(options) {
  const [shown, setShown] = useState(NOTHING);
  const current = useRef(null);
  const latest = useRef(options);
  latest.current = options;

  const follow = useCallback((runId, prompt = null) => {
    current.current?.leave();
    const run = new Run(prompt, { ...latest.current, ...(runId ? { runId } : {}) });
    current.current = run;
    const change = (how) => {
      if (current.current === run) setShown((before) => ({ ...before, ...how(before) }));
    };
    setShown({ ...NOTHING, id: run.id, state: run.state });
    run.addEventListener("event", ({ detail }) => change((before) => ({ text: run.text, ...added(before, detail) })));
    run.addEventListener("state", () =>
      change(() => ({ state: run.state, text: run.text, ended: run.ended, failure: run.failure })),
    );
    run.addEventListener("anew", () => change(() => ({ text: "", steps: [], questions: [] })));
    return run.id;
  }, []);
  const start = useCallback((prompt) => follow(undefined, prompt), [follow]);
  const cancel = useCallback(() => current.current?.cancel(), []);
  const answer = useCallback((requestId, data) => current.current?.answer(requestId, data), []);

  // Whoever leaves the page does not stop the run: it goes on as its `onDisconnect` says.
  useEffect(() => () => current.current?.leave(), []);

  return { ...shown, start, follow, cancel, answer };
}

/** What an event adds to what is shown. */
function added({ steps, questions }, event) {
  switch (event.type) {
    case "thinking":
    case "tool_call":
      return { steps: [...steps, event] };
    case "observation":
      return event.partial ? {} : { steps: [...steps, event] };
    case "input_request":
      return { questions: [...questions, event] };
    case "input_closed":
      return { questions: questions.filter(({ request_id }) => request_id !== event.request_id) };
    default:
      return {};
  }
}
