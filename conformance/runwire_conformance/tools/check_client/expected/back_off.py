"""Back-off check: whether waits fit a growing back-off with full jitter ([CLOSE-7], [CLOSE-9]). Pure.

No sentence states how long the first wait is or by which factor it grows, so only what no such back-off gives is
held against a client: attempts on each other's heels, more of them than any growth leaves room for, and waits that
are equal, or that grow by the same factor each time.
"""

from collections.abc import Sequence
from itertools import pairwise

#: Returns in a row, each within so many seconds, that no growing back-off gives by chance.
QUICK_RETURNS, QUICK_S = 5, 0.1

#: Attempts in a second, over the whole time, that are more than growing waits leave room for.
MOST_A_SECOND = 4.0

#: Waits in a row that are equal within this share, or whose factors are.
EQUAL_WAITS, EQUAL_SHARE = 5, 0.1
EQUAL_FACTORS, FACTOR_SHARE, LEAST_FACTOR = 3, 0.06, 1.2

#: Equal waits below this many seconds are told apart by nobody's clock.
LEAST_WAIT_S = 0.1


def missing_growth(waits: Sequence[float], seconds: float) -> str:
    """Return what shows that waits do not grow, or an empty string.

    `waits` are the seconds from the end of each attempt to the next one, seen over `seconds`.
    """
    quick = 0
    for wait in waits:
        quick = quick + 1 if wait <= QUICK_S else 0
        if quick == QUICK_RETURNS:
            return f"{QUICK_RETURNS} times in a row, each within {QUICK_S * 1000:.0f} ms"
    if len(waits) > MOST_A_SECOND * max(seconds, QUICK_RETURNS):
        return f"{len(waits)} times in {seconds:.1f} s"
    return ""


def missing_jitter(waits: Sequence[float]) -> str:
    """Return what shows that waits are without jitter, or an empty string; chance makes such waits once in a while."""
    told = ", ".join(f"{wait:.2f}" for wait in waits[:8])
    for place in range(len(waits) - EQUAL_WAITS + 1):
        part = waits[place : place + EQUAL_WAITS]
        if min(part) >= LEAST_WAIT_S and max(part) - min(part) <= EQUAL_SHARE * max(part):
            return f"without jitter or growth, after {told} s"
    factors = [later / earlier for earlier, later in pairwise(waits) if earlier >= LEAST_WAIT_S]
    for place in range(len(factors) - EQUAL_FACTORS + 1):
        part = factors[place : place + EQUAL_FACTORS]
        if min(part) > LEAST_FACTOR and max(part) - min(part) <= FACTOR_SHARE * max(part):
            return f"without jitter, each wait {sum(part) / len(part):.1f} times the previous one: after {told} s"
    return ""
