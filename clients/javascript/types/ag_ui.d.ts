/** A `fetch` for `new HttpAgent({ url, fetch: runwireFetch })`: its event streams return, and an abort stops the run. */
export const runwireFetch: typeof fetch;

/** Make such a `fetch`. `silenceMs` is the longest time without a byte before a line counts as lost. */
export function createRunwireFetch(options?: { fetch?: typeof fetch; silenceMs?: number }): typeof fetch;
