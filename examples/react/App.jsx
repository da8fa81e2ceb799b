// A page of one conversation: start, watch, stop, answer, reload.

import { useEffect, useState } from "react";

import { useRun } from "./useRun.js";

const RUNNING = new Set(["connecting", "following", "polling", "reconnecting", "offline"]);

export function App({ discovery }) {
  const [prompt, setPrompt] = useState("What is AI?");
  const { state, text, steps, questions, ended, failure, start, follow, cancel, answer } = useRun({ discovery });

  useEffect(() => {
    const kept = location.hash.slice(1);
    if (kept) follow(kept); // after a reload, or in a second tab
  }, [follow]);

  const submit = (submitted) => {
    submitted.preventDefault();
    history.replaceState(null, "", `#${start(prompt)}`);
  };
  return (
    <main>
      <form onSubmit={submit}>
        <label>
          Prompt <input value={prompt} onChange={({ target }) => setPrompt(target.value)} required />
        </label>
        <button>Start</button>
        <button type="button" onClick={cancel} disabled={!RUNNING.has(state)}>
          Stop
        </button>
      </form>
      <p role="status">{state}</p>
      <ul>
        {steps.map((step) => (
          <li key={step.seq}>{step.content ? String(step.content) : step.name}</li>
        ))}
      </ul>
      {questions.map(({ request_id, data }) => (
        <p key={request_id}>
          {data} <button onClick={() => answer(request_id, true)}>Yes</button>{" "}
          <button onClick={() => answer(request_id, false)}>No</button>
        </p>
      ))}
      <article aria-label="Answer">{text}</article>
      <footer>{ended ? `${ended.status ?? ended.code}: ${ended.data}` : failure?.message}</footer>
    </main>
  );
}
