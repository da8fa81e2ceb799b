// What a page includes that `runwire check-client --listen` judges. `await runwireCheck.begin()` gives what the page is
// told of a scenario: url, websocket, runs, prompt, transport, token, token_url, act, run, cursor. `runwireCheck.report({text, ended})`
// says what it shows. When the scenario is over the page is loaded again, for the next one.

globalThis.runwireCheck = (() => {
  const judge = new URL(document.currentScript.src).origin;
  const { fetch } = globalThis;
  let play = 0;
  let reporting = Promise.resolve();

  async function answer(path) {
    for (;;) {
      const response = await fetch(judge + path, { cache: "no-store" });
      if (response.status !== 204) return response;
    }
  }

  return {
    async begin() {
      const told = await (await answer("/next")).json();
      play = told.play;
      answer(`/over?play=${play}`).finally(() => location.reload());
      return told;
    },
    report(shown) {
      const body = JSON.stringify(shown);
      reporting = reporting.then(() => fetch(`${judge}/report?play=${play}`, { method: "POST", body }));
      return reporting;
    },
  };
})();
