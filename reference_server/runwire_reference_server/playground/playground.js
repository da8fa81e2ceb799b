// Starts a run or follows the one that the address names, and shows it.

import { Run } from "./runwire/runwire.js";
import { Steps } from "./steps.js";
import { keep, kept, switchLanguage, text, translate } from "./texts.js";

const MOST_WIRE_LINES = 1000;
const $ = (id) => document.getElementById(id);
const steps = new Steps($("steps"), (id, data) => run.answer(id, data), announce);
let run = null;
let shown = { state: "connecting", detail: "", waitMs: 0 };
let token = ""; // of this page only: a reload asks again

translate();
$("prompt").value = kept("run")?.prompt ?? text("example");
$("transport").value = kept("transport") ?? "auto";
followAddress();
addEventListener("hashchange", followAddress);

$("ask").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  start($("prompt").value);
});
$("prompt").addEventListener("keydown", (pressed) => {
  if (pressed.key !== "Enter" || pressed.shiftKey || pressed.isComposing) return;
  pressed.preventDefault();
  $("ask").requestSubmit();
});
document.addEventListener("keydown", ({ key, isComposing }) => key === "Escape" && !isComposing && run?.cancel());
$("transport").addEventListener("change", () => keep("transport", $("transport").value));
$("cancel").addEventListener("click", () => run.cancel());
$("drop").addEventListener("click", () => run.drop());
$("language").addEventListener("click", () => {
  const untouched = $("prompt").value === text("example");
  switchLanguage();
  if (untouched) $("prompt").value = text("example");
  showLanguage();
  showState();
  showEnd();
});
showLanguage();

/** Start a run and write it into the address, so that a reload finds it. */
function start(prompt) {
  if (run?.ended === null && kept("run")?.id === run.id) run.cancel(); // another tab's goes on
  follow(new Run(prompt, options()), prompt);
  history.replaceState(null, "", `#run=${run.id}`);
  keep("run", { id: run.id, prompt, over: false });
}

/**
 * Follow the run that the address names. This tab's own run is started again under its `run_id`, which the server
 * takes for the same run [RUN-19]; a run that was over, or is another tab's, is only looked at.
 */
function followAddress() {
  const id = new URLSearchParams(location.hash.slice(1)).get("run");
  if (!id || id === run?.id) return;
  const own = kept("run");
  const prompt = own?.id === id && !own.over ? own.prompt : null;
  follow(new Run(prompt, { ...options(), runId: id }), prompt);
}

function options() {
  return { transport: $("transport").value, token: ({ refused }) => (refused === null ? token : signIn(refused)) };
}

/** Wait until the user gave a token. */
function signIn(refused) {
  const form = $("sign-in");
  form.hidden = false;
  form.querySelector("label").textContent = text(refused ? "refusedToken" : "wantsToken");
  $("token").focus();
  return new Promise((resolve) => {
    form.onsubmit = (submitted) => {
      submitted.preventDefault();
      token = $("token").value;
      $("token").value = "";
      form.hidden = true;
      resolve(token);
    };
  });
}

function follow(followed, prompt) {
  run?.leave();
  run = followed;
  steps.clear();
  for (const id of ["answer", "end", "wire"]) $(id).replaceChildren();
  $("run").hidden = false;
  $("second").href = `#run=${run.id}`;
  $("question").hidden = prompt === null;
  $("question").textContent = prompt ?? "";
  const listen = (type, hear) => followed.addEventListener(type, ({ detail }) => followed === run && hear(detail));
  listen("event", (event) => {
    steps.show(event);
    $("answer").textContent = run.text;
  });
  listen("anew", () => (steps.clear(), $("answer").replaceChildren()));
  listen("state", (state) => {
    shown = state.state === "unauthorized" ? { state: state.state } : state; // the form says it
    $("answer").textContent = run.text;
    showState();
    if (run.ended !== null) showEnd();
  });
  listen("notice", ({ data }) => {
    shown = { ...shown, detail: data };
    showState();
  });
  listen("wire", ({ direction, text }) => {
    $("wire").append(`${direction} ${text}\n`);
    while ($("wire").childNodes.length > MOST_WIRE_LINES) $("wire").firstChild.remove();
  });
  showState();
}

function showState() {
  if (run === null) return;
  const over = run.ended !== null || run.failure !== null;
  const later = shown.waitMs >= 1000 ? text("inSeconds")(Math.round(shown.waitMs / 1000)) : "";
  const said = [run.transport, text(shown.state), text(shown.detail ?? "")].filter(Boolean);
  $("state").value = said.join(" · ") + later;
  for (const id of ["cancel", "drop"]) $(id).disabled = over;
  $("answer").ariaBusy = String(!over);
}

function showEnd() {
  const end = run?.ended;
  if (!end) return;
  const { status = "failed", data, code, usage, retryable } = end;
  const spent = usage ? ` (${text("tokens")(usage.input_tokens ?? 0, usage.output_tokens ?? 0)})` : "";
  $("end").textContent = `${text(status)}: ${code ? `${code}: ` : ""}${data}${spent} `;
  if (end.type === "error" && retryable) {
    const again = Object.assign(document.createElement("button"), { type: "button", textContent: text("again") });
    again.addEventListener("click", () => start($("prompt").value)); // [ERR-8] under a new run_id
    $("end").append(again);
  }
  const own = kept("run");
  if (own?.id === run.id) keep("run", { ...own, over: true });
  announce(run.text);
}

function showLanguage() {
  $("language").textContent = text("other");
  $("language").lang = text("otherCode");
}

function announce(what) {
  $("announcement").textContent = what;
}
