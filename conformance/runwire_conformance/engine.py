"""Plays all cases at once in one event loop, each with a deadline and a place, and keeps what came of them."""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from runwire_conformance.bounds import Clock
from runwire_conformance.case import Broken, Claim, Moot, NotExercised, TooLate
from runwire_conformance.invariants import Facts, Finding, findings
from runwire_conformance.probe import Mute, probe
from runwire_conformance.target import Options, Profile, Target
from runwire_conformance.trace import Trace
from runwire_conformance.wire.http import Unanswered, Unreachable
from runwire_spec import catalogue

#: Seconds for the whole suite; what has not been played by then is not exercised.
SUITE_S = 55.0

#: How many failures of timing are repeated before anyone is accused.
MOST_REPEATS = 20

#: How many cases play at once when the server advertises no limit on connections.
CROWD = 24

#: How many connections are open at once at most; more would only make the judge's own clock unsteady.
MOST_PLACES = 60

#: How many unfinished runs a place may stand for, those that outlive their case included.
RUNS_A_PLACE = 2

#: Share of the advertised connections that the judge allows itself.
SHARE = 0.6


class State(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    NOT_EXERCISED = "not exercised"
    JUDGE_ERROR = "judge error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: its state, the reason, what the invariants found, and the conversations."""

    state: State
    reason: str = ""
    moot: str | None = None
    late: bool = False
    findings: tuple[Finding, ...] = ()
    traces: tuple[Trace, ...] = ()
    seconds: float = 0.0
    details: str = ""


@dataclass(slots=True)
class Case:
    """A case to play: its function, claim and, where it has one, transport."""

    name: str
    function: Callable[..., Any]
    claim: Claim
    transport: str | None = None
    explain: Callable[[BaseException], str] | None = None
    outcome: Outcome | None = None


@dataclass(slots=True)
class Engine:
    """Judges one server with a set of cases."""

    url: str
    options: Options
    cases: Sequence[Case]
    concurrency: int | None = None
    stop_after: int = 0
    progress: Callable[[int, int], None] | None = None
    profile: Profile | None = None
    mute: Mute | None = None
    died: str | None = None
    seconds: float = 0.0
    _clock: Clock = field(default_factory=Clock)
    _failed: int = 0
    _done: int = 0

    async def judge(self) -> None:
        """Play every case; raises NoRunwireServer when there is nothing to judge."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._clock.start()
        try:
            self.profile = await probe(self.url, self.options, self._clock)
            async with asyncio.timeout(SUITE_S + self.options.patience_s - 30):
                await self._play_all(self.profile)
        except Mute as mute:
            self.mute = mute
        except TimeoutError:
            self._give_up(f"the suite's time of {SUITE_S:g} s was over")
        finally:
            self._clock.stop()
            self.seconds = loop.time() - begun
        self._watch()

    def _watch(self) -> None:
        """Have the invariants judge every conversation, when no clock runs any more."""
        if self.profile is None:
            return
        facts = Facts(self.profile.limits, self._clock.worst_tolerance)
        for case in self.cases:
            if case.outcome is not None and case.outcome.traces:
                found = tuple(finding for trace in case.outcome.traces for finding in findings(trace, facts))
                case.outcome = replace(case.outcome, findings=found)

    async def _play_all(self, profile: Profile) -> None:
        todo = [case for case in self.cases if self._offered(case, profile)]
        crowd = [case for case in todo if not case.claim.alone and not case.claim.last]
        places = Places(self._width(profile))
        await asyncio.gather(*(self._play_in_turn(case, profile, places) for case in crowd))
        for case in [case for case in todo if case.claim.alone]:
            await self._play(case, profile)
        late = [case for case in todo if case.outcome is not None and case.outcome.late]
        for case in late[:MOST_REPEATS]:
            await self._play(case, profile)
        await self._still_there(profile)
        for case in [case for case in todo if case.claim.last]:
            await self._play(case, profile)

    def _width(self, profile: Profile) -> int:
        if self.concurrency is not None:
            return self.concurrency
        if "connections_per_principal" not in profile.limits.advertised:
            return CROWD
        connections = SHARE * profile.limits["connections_per_principal"]
        runs = SHARE * profile.limits["runs_per_principal"] / RUNS_A_PLACE
        return max(1, min(MOST_PLACES, int(connections), int(runs)))

    def _offered(self, case: Case, profile: Profile) -> bool:
        """Settle a case whose feature the server does not claim, or does claim where it must not."""
        gates = {gate for identifier in case.claim.ids + case.claim.watches for gate in gates_of(identifier)}
        absent = sorted(gate for gate in gates if gate != "script_agent" and gate not in profile.features)
        if case.transport == "sse" and "sse" not in profile.features:
            absent.append("sse")
        if absent:
            case.outcome = Outcome(State.NOT_OFFERED, f"the server does not offer {', '.join(absent)}")
        elif case.claim.without in profile.features:
            case.outcome = Outcome(State.NOT_OFFERED, f"only for a server without {case.claim.without}")
        elif "script_agent" in gates and not profile.has_script_agent:
            case.outcome = Outcome(State.NOT_OFFERED, "the server has no script agent")
        elif case.claim.script and not profile.has_script_agent:
            hint = "needs the script agent (specification, chapter 16): plug it in and announce script_agent"
            case.outcome = Outcome(State.NOT_EXERCISED, hint)
        if case.outcome is not None:
            self._done += 1
        return case.outcome is None

    async def _play_in_turn(self, case: Case, profile: Profile, places: "Places") -> None:
        async with places.taken(case.claim.connections):
            if self.stop_after and self._failed >= self.stop_after:
                case.outcome = Outcome(State.NOT_EXERCISED, "stopped after an earlier failure")
                return
            await self._play(case, profile)

    async def _play(self, case: Case, profile: Profile) -> None:
        target = Target(profile, self.options, self._clock)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        state, reason, moot, late, details = State.PASSED, "", None, False, ""
        try:
            async with asyncio.timeout(case.claim.deadline_s):
                await case.function(**await arguments(case, target))
        except Moot as problem:
            state, reason, moot = State.NOT_EXERCISED, str(problem), problem.requirement
        except NotExercised as problem:
            state, reason = State.NOT_EXERCISED, str(problem)
        except (AssertionError, Unreachable, Unanswered) as problem:
            state, reason = State.FAILED, str(problem).strip() or type(problem).__name__
            late = isinstance(problem, TooLate) or case.claim.timing
            details = (
                case.explain(problem) if case.explain is not None and not isinstance(problem, Broken) else ""
            )
        except TimeoutError:
            state, reason = State.FAILED, f"it did not come to its end within {case.claim.deadline_s:g} s"
            late = case.claim.timing
        except Exception as problem:
            state, reason = State.JUDGE_ERROR, f"{type(problem).__name__}: {problem}"
            details = "".join(traceback.format_exception(problem))
        try:
            async with asyncio.timeout(5):
                await target.end()
        except Exception:
            pass
        traces = tuple(target.traces)
        case.outcome = Outcome(state, reason, moot, late, (), traces, loop.time() - begun, details)
        self._done += 1
        self._failed += state is State.FAILED
        if self.progress is not None:
            self.progress(self._done, len(self.cases))

    async def _still_there(self, profile: Profile) -> None:
        """Look once more: a server that died in the middle is said once."""
        target = Target(profile, self.options, self._clock)
        try:
            await target.connect(ready=False)
        except (Unreachable, Unanswered, Broken) as problem:
            self.died = str(problem)
        finally:
            await target.end()

    def _give_up(self, reason: str) -> None:
        for case in self.cases:
            if case.outcome is None:
                case.outcome = Outcome(State.NOT_EXERCISED, reason)


class Places:
    """Places for connections, of which a case can take several at once without two cases locking each other out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._changed = asyncio.Condition()

    def taken(self, count: int) -> "_Taken":
        """Return a context in which `count` places are held, or all there are."""
        return _Taken(self, min(count, self._most))

    async def take(self, count: int) -> None:
        """Wait for `count` places and take them."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= count)
            self._free -= count

    async def give_back(self, count: int) -> None:
        """Free `count` places."""
        async with self._changed:
            self._free += count
            self._changed.notify_all()


@dataclass(slots=True)
class _Taken:
    places: Places
    count: int

    async def __aenter__(self) -> None:
        await self.places.take(self.count)

    async def __aexit__(self, *_: object) -> None:
        await self.places.give_back(self.count)


async def arguments(case: Case, target: Target) -> dict[str, Any]:
    """Return what a case's function asks for by the names of its parameters."""
    names = case.function.__code__.co_varnames[: case.function.__code__.co_argcount]
    found: dict[str, Any] = {}
    for name in names:
        if name == "target":
            found[name] = target
        elif name == "limits":
            if not target.limits.advertised:
                raise Moot("CONN-15")  # a bound that nobody stated is not judged
            found[name] = target.limits
        elif name == "transport":
            found[name] = case.transport
        elif name == "client":
            found[name] = await target.connect()
        else:
            raise TypeError(f"{case.name} asks for {name!r}; there are: client, target, limits, transport")
    return found


def gates_of(identifier: str) -> tuple[str, ...]:
    """Return the features, or `script_agent`, that gate a requirement."""
    name = catalogue()[identifier].conformance_class
    return () if name in {"basic", "core"} else (name,)
