"""Definition of a case: one requirement of the specification as an executable test."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar, Unpack

from runwire_conformance.trace.limits import Limits

Body = Callable[..., Awaitable[None]]
Function = TypeVar("Function", bound=Body)

#: Seconds a case may take, its waiting for a place not counted.
DEADLINE_S = 25.0


#: The sentence by which there is a place at the server again once one was given back.
NO_CAPACITY = "LIMIT-4"


class Broken(AssertionError):
    """The server did not do what was expected; says what was expected and what came.

    `owners` are the sentences that order what was expected, the likeliest first, where a case only needs it to come
    to its own: it is blocked when one of them is found broken by itself (`attribution`). Where they are `certain`, as
    nothing in the case bears on it, the first is accused even if no other case shows it broken. `status` is the HTTP
    status of the answer that was not expected.
    """

    #: Whether nothing came within a wait that no sentence states; it has to be looked for again, alone and patiently.
    absent = False
    #: Whether what came is bytes that a sentence forbids, which no slowness of the judge explains.
    proven = False
    #: Whether a refusal with `busy` is no want of places: another had one at the same time, or none was asked for.
    compared = False

    def __init__(
        self, reason: str, owners: tuple[str, ...] = (), *, certain: bool = False, status: int | None = None
    ) -> None:
        super().__init__(reason)
        self.owners = owners
        self.certain = certain
        self.status = status


class Wrong(Broken):
    """Something came, and it was not what was expected."""


class DeadlineMissed(Broken):
    """Something came, but after its bound; repeated before anyone is accused."""


class Violation(Broken):
    """The server broke the sentence `requirement`; only that one is accused, whatever else the case proves.

    `late` says that something came after its bound, `details` what a person is told beside the reason.
    """

    def __init__(self, requirement: str, reason: str, details: str = "", *, late: bool = False) -> None:
        super().__init__(reason)
        self.requirement = requirement
        self.details = details
        self.late = late


@contextmanager
def accuses(requirement: str) -> Iterator[None]:
    """Have `requirement` alone accused of what fails inside, of all that the case proves."""
    try:
        yield
    except BaseException as problem:
        if accused_requirement(problem) is None:
            problem.__runwire_requirement__ = requirement  # type: ignore[attr-defined]
        raise


@contextmanager
def precondition(*owners: str) -> Iterator[None]:
    """Have what fails inside held against the sentence that orders it, and not against what the case proves.

    `owners` are these sentences where what fails names none itself.
    """
    try:
        yield
    except AssertionError as problem:
        problem.owners = owners_of(problem) or owners  # type: ignore[attr-defined]
        problem.certain = True  # type: ignore[attr-defined]
        raise


@contextmanager
def explains(*requirements: str) -> Iterator[None]:
    """Have what fails inside explain findings of these `requirements`, where no other case shows the same."""
    try:
        yield
    except BaseException as problem:
        problem.__runwire_explains__ = frozenset(requirements)  # type: ignore[attr-defined]
        raise


def accused_requirement(problem: BaseException) -> str | None:
    """Return the requirement that a failure shows broken, where the case can tell which."""
    shown: str | None = _carried(problem, "__runwire_requirement__")
    return shown


def owners_of(problem: BaseException) -> tuple[str, ...]:
    """Return the sentences that order what a case was waiting for when it failed."""
    return _carried(problem, "owners") or ()


def is_certain(problem: BaseException) -> bool:
    """Whether the first of a failure's owners broke its sentence, whatever the case is about."""
    return bool(_carried(problem, "certain"))


def refused_status_of(problem: BaseException) -> int | None:
    """Return the HTTP status of the answer that a failure is about."""
    status: int | None = _carried(problem, "status")
    return status


def explained_requirements(problem: BaseException) -> frozenset[str]:
    """Return the requirements whose findings in the conversations of the case a failure explains."""
    return _carried(problem, "__runwire_explains__") or frozenset()


def _carried(problem: BaseException | None, name: str) -> Any:
    """Return what a failure carries, or else its cause: a deadline's is the cancelled wait."""
    while problem is not None:
        if value := getattr(problem, name, None):
            return value
        problem = problem.__cause__
    return None


class Inconclusive(Exception):
    """A case ends by a word of its own, which accuses nobody."""

    #: The state of a case that ends so, as `State` spells it.
    state = "not exercised"
    #: Whether the case is to be played again, alone.
    suspect = False
    #: Whether only the user's patience kept it from being played.
    impatient = False
    #: The broken requirement that keeps it from being played.
    requirement: str | None = None


class NotExercised(Inconclusive):
    """The situation that a requirement speaks of never came about; says what to configure."""


class PatienceExceeded(NotExercised):
    """A bound of the server is longer than the user will wait."""

    impatient = True


class TooSlow(NotExercised):
    """A bound of the server was over before the situation came about; alone, the case may be quick enough."""

    suspect = True


class NotJudged(Inconclusive):
    """The judge left it out for reasons of its own: its slowness, memory or time; says which."""

    state = "not judged"


class TooUnsteady(NotJudged):
    """This machine was too slow for the case to tell anything, which it may be able to when it plays alone."""

    suspect = True


class NoServerFault(Broken):
    """What was expected did not come, and that is no fault of the server's; a case that goes no further ends so."""

    def __init__(self, ending: Inconclusive) -> None:
        super().__init__(str(ending))
        self.ending = ending


class NotOffered(Inconclusive):
    """The requirement speaks of something that this server does not have, by its own word; says what."""

    state = "not offered"


class Blocked(NotExercised):
    """The case cannot be played because another requirement is broken, which is reported by itself."""

    def __init__(self, requirement: str, reason: str = "") -> None:
        super().__init__(reason or f"blocked by {requirement}")
        self.requirement: str = requirement
        self.suspect = requirement == NO_CAPACITY


@dataclass(frozen=True, slots=True)
class Claim:
    """What a case proves and how it is played.

    `waits` tells, from the limits that the server advertises, for how many seconds the case is made to wait by them;
    its deadline is that much later. `watches` are requirements that it exercises and that are judged by the rules
    alone; `connections` is how many it opens at once; an `alone` case plays when all others have ended; `last` ones
    play after everything, as they may end the server.
    """

    ids: tuple[str, ...]
    watches: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    script: bool = False
    connections: int = 1
    alone: bool = False
    last: bool = False
    deadline_s: float = DEADLINE_S
    without: str | None = None
    timing: bool = False
    searches: bool = False
    waits: Callable[[Limits], float] | None = None
    busy: bool = False
    fills: bool = False
    beyond: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()


class ClaimOptions(TypedDict, total=False):
    """What `proves` takes beside the requirements: fields of a Claim."""

    watches: tuple[str, ...]
    on: tuple[str, ...]
    script: bool
    connections: int
    alone: bool
    last: bool
    deadline_s: float
    without: str | None
    timing: bool
    searches: bool
    waits: Callable[[Limits], float] | None
    busy: bool
    fills: bool
    beyond: tuple[str, ...]
    hooks: tuple[str, ...]


def proves(*ids: str, **options: Unpack[ClaimOptions]) -> Callable[[Function], Function]:
    """Mark a function as a case that proves the requirements `ids`, and plays a clause of the first.

    With `on=("websocket", "sse")` it is played once over each; with `script` it needs the script agent; with
    `without` it is played only against a server that does not offer that feature. A case that leans on the judge's
    own clock says `timing`: when it fails beside others it is played again alone, and that is what counts. One that
    `searches` takes the longer the more examples the user asked for. One that an advertised limit makes wait says with
    `waits` for how many seconds, of which the forecast is made; it is not played when they are more than the patience.
    One that is `busy` makes the server refuse it so; any other that is refused as busy found no place. One that
    `fills` a log has its run cut; any other whose run is cut found too small a log. Of servers with the features in
    `beyond` it asks more, and plays against the others too. `hooks` are the keys of `[hooks]` in `runwire.toml` that
    it cannot be played without.
    """
    claim = Claim(ids, **options)

    def marked(function: Function) -> Function:
        function.__runwire_claim__ = claim  # type: ignore[attr-defined]
        return function

    return marked


def claim_of(function: Any) -> Claim | None:
    """Return the claim of a function marked by `proves`, or None."""
    claim = getattr(function, "__runwire_claim__", None)
    return claim if isinstance(claim, Claim) else None


def topic(module: str) -> str:
    """Return what a module of cases is about: its name without the number of its chapter."""
    return re.sub(r"^c[0-9]{2}_", "", module)
