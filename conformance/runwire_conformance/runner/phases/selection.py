"""Selection: the cases to play, their order, and the estimated duration."""

from collections.abc import Sequence
from dataclasses import dataclass

from runwire_conformance.client.discovery.profile import ServerProfile
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.forecast import QUICK_S, Wait, forecast, in_words, wait_of
from runwire_conformance.runner.gates import unplayed
from runwire_conformance.verdict.outcome import Case, Outcome, State

#: How many cases play at once when the server advertises no limit on connections.
DEFAULT_SLOTS = 24

#: How many connections are open at once at most; more would only make the judge's own clock unsteady.
MOST_SLOTS = 60

#: How many unfinished runs a slot may stand for, those that outlive their case included.
RUNS_A_SLOT = 2

#: Share of the advertised connections that the judge allows itself.
SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Selected:
    """The cases to play, and how many connections they may have at once."""

    cases: Sequence[Case]
    slots: int

    @property
    def concurrent(self) -> list[Case]:
        """Those that play beside others."""
        return [case for case in self.cases if not case.claim.alone and not case.claim.last]

    @property
    def alone(self) -> list[Case]:
        """Those that count connections or runs, and so play by themselves."""
        return [case for case in self.cases if case.claim.alone]

    @property
    def last(self) -> list[Case]:
        """Those that may end the server."""
        return [case for case in self.cases if case.claim.last]


def select(engine: Engine) -> Selected:
    """Settle what cannot be played, and return the rest."""
    return Selected([case for case in engine.cases if _is_to_play(engine, case)], slots_for(engine))


def _is_to_play(engine: Engine, case: Case) -> bool:
    """Settle a case that this server cannot be asked to play, or that the user will not wait for."""
    profile, options = engine.known_profile, engine.options
    wait = wait_of(case.claim, profile.limits)
    outcome = unplayed(case, profile)
    if outcome is None and options.quick and wait.seconds > QUICK_S:
        engine.left_out.add(case.name)
        return False
    if outcome is None and wait.seconds > options.patience_s:
        outcome = Outcome(State.NOT_EXERCISED, impatient(wait), impatient=True)
    if outcome is not None:
        engine.note(case, outcome)
    return outcome is None


def slots_for(engine: Engine) -> int:
    """Return how many connections the judge may have at once."""
    if engine.concurrency is not None:
        return engine.concurrency
    return _admitted(engine.known_profile)


def _admitted(profile: ServerProfile) -> int:
    if "connections_per_principal" not in profile.limits.advertised:
        return DEFAULT_SLOTS
    connections = SHARE * profile.limits["connections_per_principal"]
    runs = SHARE * profile.limits["runs_per_principal"] / RUNS_A_SLOT
    return max(1, min(MOST_SLOTS, int(connections), int(runs)))


def announce(engine: Engine, selected: Selected) -> None:
    """Say beforehand how long the suite will take."""
    others = [*selected.alone, *selected.last]
    engine.forecast = forecast(
        [case.claim for case in selected.concurrent],
        [case.claim for case in others],
        engine.known_profile.limits,
        selected.slots,
        engine.options.search.budget_s,
    )
    if engine.progress is not None:
        engine.progress.begin(len(selected.concurrent) + len(others), engine.forecast)


def impatient(wait: Wait) -> str:
    """Return why a case is not exercised that waits longer than the user will."""
    settings = " and ".join(wait.settings)
    seconds = in_words(wait.seconds) if wait.seconds > 60 else f"{wait.seconds:g} s"
    return f"would take {seconds}; set a smaller {settings} on the server or use --patience {wait.seconds:g}"
