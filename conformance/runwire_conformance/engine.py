"""Plays all cases at once in one event loop, each with a deadline and a place, and keeps what came of them."""

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from runwire_conformance.assertion import in_words
from runwire_conformance.bounds import STALL_S, Clock
from runwire_conformance.case import Breach, Broken, Claim, Moot, NotExercised, NotOffered, TooLate, shown_by
from runwire_conformance.invariants import Facts, Finding, findings
from runwire_conformance.places import Places
from runwire_conformance.probe import Mute, probe
from runwire_conformance.profile import Options, Profile
from runwire_conformance.reason import Kind, kind_of
from runwire_conformance.redaction import Redaction
from runwire_conformance.target import Target
from runwire_conformance.trace import Trace
from runwire_conformance.wire.http import Unanswered, Unreachable
from runwire_spec import catalogue

#: Seconds for the whole suite; what has not been played by then is not exercised.
SUITE_S = 48.0

#: Seconds within which a server must answer a last handshake to count as alive.
ALIVE_S = 4.0

#: Records of all conversations after which no further case begins, as a server that never stops would fill the memory.
MOST_RECORDS = 400_000

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


#: Why cases are not exercised that were not over when the server was gone.
GONE = "moot, as the server was gone"

#: Requirements whose breach makes messages unreadable, so that no case can be written against what comes.
UNREADABLE = frozenset({"MSG-1", "MSG-2", "MSG-3", "MSG-5"})


#: Close codes for a peer that answers no Ping or takes no byte.
GIVEN_UP = frozenset({1001, 1006, 1011, 4001})


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
    began_at: float = 0.0
    ended_at: float = 0.0
    #: The credentials that the case had to do with.
    redaction: Redaction = field(default_factory=Redaction)
    #: In what way the case failed, if it did.
    kind: Kind = Kind.UNMET
    #: The one requirement that the case found broken, where it can tell which.
    breach: str | None = None
    #: The one that its failure shows broken, of those that it proves, where it can tell which.
    shows: str | None = None


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
    #: What showed that the server was gone before the suite ended, and the moment of its last word.
    died: str | None = None
    last_word: float = 0.0
    began_at: float = 0.0
    seconds: float = 0.0
    _clock: Clock = field(default_factory=Clock)
    _failed: int = 0
    _done: int = 0
    _records: int = 0

    async def judge(self) -> None:
        """Play every case; raises NoRunwireServer when there is nothing to judge."""
        self.began_at = time.monotonic()
        self._clock.start()
        try:
            self.profile = await probe(self.url, self.options, self._clock)
            async with asyncio.timeout(
                SUITE_S + self.options.patience_s - 30 + self.options.search.further_s
            ):
                await self._play_all(self.profile)
        except Mute as mute:
            self.mute = mute
        except TimeoutError:
            self._give_up(f"the suite's time of {SUITE_S:g} s was over")
            if self.profile is not None:
                await self._look_again(self.profile)
        finally:
            self._clock.stop()
            self.seconds = time.monotonic() - self.began_at
        self._watch()

    def _watch(self) -> None:
        """Have the invariants judge every conversation, when no clock runs any more."""
        if self.profile is None:
            return
        facts = Facts(self.profile.limits, self._clock.worst_tolerance)
        for case in self.cases:
            if case.outcome is not None and case.outcome.traces:
                if self.died is not None and case.outcome.ended_at > self.last_word:
                    unfinished = case.outcome
                    case.outcome = Outcome(
                        State.NOT_EXERCISED, GONE, began_at=unfinished.began_at, ended_at=unfinished.ended_at
                    )
                    continue
                found = tuple(finding for trace in case.outcome.traces for finding in findings(trace, facts))
                case.outcome = _blameless(replace(case.outcome, findings=found))
            if case.outcome is not None:
                case.outcome = _without_secrets(case.outcome)

    async def _play_all(self, profile: Profile) -> None:
        todo = [case for case in self.cases if self._offered(case, profile)]
        crowd = [case for case in todo if not case.claim.alone and not case.claim.last]
        # First those that wait for the server's bounds, as the whole takes as long as the last to end.
        crowd.sort(key=lambda case: -case.claim.takes_long)
        places = Places(self._width(profile))
        await asyncio.gather(*(self._play_in_turn(case, profile, places) for case in crowd))
        for case in [case for case in todo if case.claim.alone]:
            await self._play_alone(case, profile)
        if not await self._look_again(profile):
            return
        late = [case for case in todo if case.outcome is not None and case.outcome.late]
        for case in late[:MOST_REPEATS]:
            await self._play_alone(case, profile)
            self._doubt(case, profile)
        if late and not await self._look_again(profile):
            return
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

    async def _play_in_turn(self, case: Case, profile: Profile, places: Places) -> None:
        async with places.taken(case.claim.connections):
            if self.stop_after and self._failed >= self.stop_after:
                case.outcome = Outcome(State.NOT_EXERCISED, "stopped after an earlier failure")
            elif self._records > MOST_RECORDS:
                case.outcome = Outcome(State.NOT_EXERCISED, f"not begun after {self._records} messages")
            else:
                await self._play(case, profile)

    def _doubt(self, case: Case, profile: Profile) -> None:
        """Accuse nobody who, twice, dropped a judge that was itself too slow to answer a Ping in time."""
        outcome = case.outcome
        longer_than = max(profile.limits["pong_timeout_s"] / 2, STALL_S)
        if outcome is None or outcome.state is not State.FAILED or not _was_dropped(outcome.traces):
            return
        if self._clock.stalled_since(outcome.began_at, longer_than):
            reason = "the judge's own clock stood still for too long to tell; try on a machine less busy"
            case.outcome = replace(outcome, state=State.NOT_EXERCISED, reason=reason, traces=())

    async def _play_alone(self, case: Case, profile: Profile) -> None:
        """Play a case when the server had the time it may take to free the places of what was played before."""
        await asyncio.sleep(self._clock.tolerance)
        await self._play(case, profile)

    async def _play(self, case: Case, profile: Profile) -> None:
        target = Target(profile, self.options, self._clock)
        began = time.monotonic()
        state, reason, moot, late, details = State.PASSED, "", None, False, ""
        kind = Kind.UNMET
        breach: str | None = None
        shows: str | None = None
        deadline_s = case.claim.deadline_s + (self.options.search.further_s if case.claim.searches else 0)
        try:
            async with asyncio.timeout(deadline_s):
                await case.function(**await arguments(case, target))
        except Moot as problem:
            state, reason, moot = State.NOT_EXERCISED, str(problem), problem.requirement
        except NotOffered as problem:
            state, reason = State.NOT_OFFERED, str(problem)
        except NotExercised as problem:
            state, reason = State.NOT_EXERCISED, str(problem)
        except Breach as problem:
            state, reason, details = State.FAILED, str(problem), problem.details
            breach, kind = problem.requirement, kind_of(problem)
            late = problem.late or case.claim.timing
            late = late or any(trace.overtaken(profile.limits["idle_s"]) for trace in target.traces)
        except (AssertionError, Unreachable, Unanswered) as problem:
            state, reason = State.FAILED, in_words(problem)
            kind, shows = kind_of(problem), shown_by(problem)
            late = isinstance(problem, TooLate | Unreachable) or case.claim.timing
            late = late or (self._clock.stalled_since(began) and _was_dropped(target.traces))
            late = late or any(trace.overtaken(profile.limits["idle_s"]) for trace in target.traces)
            details = (
                case.explain(problem) if case.explain is not None and not isinstance(problem, Broken) else ""
            )
        except TimeoutError as problem:
            kind, shows = Kind.ENDLESS, shown_by(problem)
            state, reason = State.FAILED, f"it did not come to its end within {deadline_s:g} s"
            late = case.claim.timing
        except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
            kind, shows = Kind.LACKING, shown_by(problem)
            # What a case reads from the server's answer is missing, or of another kind.
            state, reason = State.FAILED, f"what came lacks something: {type(problem).__name__} {problem}"
            details = case.explain(problem) if case.explain is not None else ""
        except Exception as problem:
            state, reason = State.JUDGE_ERROR, f"{type(problem).__name__}: {problem}"
            details = "".join(traceback.format_exception(problem))
        try:
            async with asyncio.timeout(5):
                await target.end()
        except Exception:
            pass
        traces = tuple(target.traces)
        now = time.monotonic()
        redaction = target.redaction
        case.outcome = Outcome(
            state, reason, moot, late, (), traces, now - began, details, began, now, redaction
        )
        case.outcome = replace(case.outcome, kind=kind, breach=breach, shows=shows)
        self._done += 1
        self._records += sum(len(trace.records) for trace in traces)
        self._failed += state is State.FAILED
        if self.progress is not None:
            self.progress(self._done, len(self.cases))

    async def _look_again(self, profile: Profile) -> bool:
        """Return whether the server still answers a handshake; when not, note since when it does not."""
        problem = await self._absence(profile)
        if problem is not None:
            self.died = await self._absence(profile)
        if self.died is not None:
            self.last_word = max(map(_last_word, self.cases), default=0.0)
            self._give_up(GONE)
        return self.died is None

    async def _absence(self, profile: Profile) -> str | None:
        """Return what shows that the server is gone, or None."""
        target = Target(profile, self.options, self._clock)
        try:
            async with asyncio.timeout(ALIVE_S):
                await target.connect(ready=False)
        except TimeoutError:
            return f"a handshake was not answered within {ALIVE_S:g} s"
        except (Unreachable, Unanswered) as problem:
            return str(problem)
        except Broken:
            return None  # refused, so it is there
        finally:
            await target.end()
        return None

    def _give_up(self, reason: str) -> None:
        for case in self.cases:
            if case.outcome is None:
                case.outcome = Outcome(State.NOT_EXERCISED, reason)


def _was_dropped(traces: Sequence[Trace]) -> bool:
    """Tell whether the server ended a conversation in a way in which it ends those of peers that vanished."""
    return any(
        record.side == "server"
        and (record.kind == "lost" or (record.kind == "close" and record.code in GIVEN_UP))
        for trace in traces
        for record in trace.records
    )


def _last_word(case: Case) -> float:
    """Return when the server last said something in a case's conversations."""
    traces = case.outcome.traces if case.outcome is not None else ()
    said = (
        record.at
        for trace in traces
        for record in trace.records
        if record.side == "server" and record.kind != "lost"
    )
    return max(said, default=0.0)


def _blameless(outcome: Outcome) -> Outcome:
    """Return the outcome of a case that stumbled over messages that no schema allows as a failure of these."""
    broken = sorted({finding.requirement for finding in outcome.findings} & UNREADABLE)
    if outcome.state is not State.JUDGE_ERROR or not broken:
        return outcome
    reason = f"could not be told from what broke {', '.join(broken)}"
    return replace(outcome, state=State.NOT_EXERCISED, reason=reason, details="")


def _without_secrets(outcome: Outcome) -> Outcome:
    """Return the outcome of a case, which was judged, without the credentials that it had to do with."""
    masked = outcome.redaction.masked
    for trace in outcome.traces:
        outcome.redaction.mask(trace)
    found = tuple(replace(finding, text=masked(finding.text)) for finding in outcome.findings)
    return replace(outcome, reason=masked(outcome.reason), details=masked(outcome.details), findings=found)


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
