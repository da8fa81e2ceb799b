"""Flaws of chapter 16 that show only where the steps of a script stand together."""

from __future__ import annotations

from typing import Any

from tests.proof.flaws.flaw import flaw

from .script_agent import PlaysOtherwise, Steps

MOST = 10
"""Rounds up to which a repeat is written out."""


class RoundsDiffer(PlaysOtherwise):
    """Plays the steps of a repeat otherwise than they are written, round by round."""

    def round(self, steps: Steps, number: int) -> Steps:
        """Return the steps of the round with this number, from 0 on."""
        raise NotImplementedError

    def played(self, steps: Steps) -> Steps:
        return [one for step in steps for one in self._written_out(step)]

    def _written_out(self, step: dict[str, Any]) -> Steps:
        times, inner = step.get("repeat"), step.get("steps")
        if not isinstance(times, int) or not 0 < times <= MOST or not isinstance(inner, list):
            return [step]
        rounds = (self.round(self.played(inner), number) for number in range(times))
        return [one for steps in rounds for one in steps]


@flaw("SCRIPT-1", clause="`repeat` with `replace`")
class ReplacesGrowInARepeat(RoundsDiffer):
    """The text of a `replace` in a `repeat` grows with each token that follows it."""

    def round(self, steps: Steps, number: int) -> Steps:
        grown: Steps = []
        for place, step in enumerate(steps):
            behind = "".join(one["token"] for one in steps[place + 1 :] if isinstance(one.get("token"), str))
            text = step.get("replace")
            grown.append({"replace": text + behind * number} if isinstance(text, str) else step)
        return grown


@flaw("SCRIPT-1", clause="`repeat` with steps of tools")
class ToolsOfARepeatSpeakOnce(RoundsDiffer):
    """A partial observation in a `repeat` is emitted in the first round alone."""

    def round(self, steps: Steps, number: int) -> Steps:
        return [step for step in steps if number == 0 or not (step.get("observation") or {}).get("partial")]


@flaw("SCRIPT-1", clause="`repeat` with a wait")
class WaitsOfARepeatAreOvertaken(RoundsDiffer):
    """What stands behind a wait in a `repeat` is played before what stands in front of it."""

    def round(self, steps: Steps, number: int) -> Steps:  # noqa: ARG002 - of all rounds
        place = next((place for place, step in enumerate(steps) if "wait_ms" in step), None)
        return steps if place is None else [*steps[place + 1 :], *steps[: place + 1]]
