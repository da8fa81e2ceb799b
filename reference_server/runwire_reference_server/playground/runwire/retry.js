// When to try again.

const FIRST_BACKOFF_MS = 500;
const MOST_BACKOFF_MS = 30000;
const MOST_TIMER_MS = 2 ** 31 - 1;

/**
 * The one place that decides when to try again. Whoever got further since the last attempt may come back at once if
 * told so [CLOSE-4]; whoever did not waits with growing back-off and full jitter [CLOSE-7], whatever it was told.
 */
export class Retry {
  #failures = 0;
  #furthest = 0;

  /** The milliseconds to wait, at least `leastMs`. `progress` is a number that grows as work gets done. */
  delay(progress, { atOnce = false, leastMs = 0 } = {}) {
    const moved = progress > this.#furthest;
    if (moved) [this.#furthest, this.#failures] = [progress, 0];
    const most = moved && atOnce ? 0 : Math.min(MOST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures++);
    return Math.min(MOST_TIMER_MS, leastMs + Math.random() * most);
  }
}
