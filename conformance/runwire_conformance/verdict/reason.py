"""Reason codes, identical in every run."""

from enum import StrEnum

from runwire_conformance.case import Broken, DeadlineMissed, Wrong


class Kind(StrEnum):
    """In what way something was not as it has to be."""

    #: A rule found it in a conversation, whichever case held that.
    CONVERSATION = "conversation"
    #: What was expected did not come.
    UNMET = "unmet"
    #: What came was not right.
    WRONG = "wrong"
    #: It came after its bound.
    LATE = "late"
    #: A request or a handshake got no answer.
    UNANSWERED = "unanswered"
    #: The case did not come to its end.
    ENDLESS = "endless"
    #: What came lacks something, or is of another kind.
    LACKING = "lacking"
    #: The server as a whole showed it: in the preflight, or in the reset check.
    SERVER = "server"
    #: The server was gone before the end.
    GONE = "gone"


#: Codes of earlier judges, which baselines still name.
EARLIER_CODES = {"mute": "server"}

#: Kinds that are told without a case, as chance decides which case sees them first.
OF_NO_CASE = frozenset({Kind.CONVERSATION, Kind.SERVER, Kind.GONE})


def reason_code(kind: Kind, case: str) -> str:
    """Return the code of an accusation, as a baseline names it: no text, id, number or time goes into it."""
    return str(kind) if kind in OF_NO_CASE else f"{kind} {case}"


def case_of(code: str) -> str:
    """Return the case that a code names, or an empty string."""
    return code.partition(" ")[2]


def kind_of(problem: BaseException) -> Kind:
    """Return in what way a case failed that ended with this exception."""
    if isinstance(problem, DeadlineMissed):
        return Kind.LATE
    if isinstance(problem, Wrong):
        return Kind.WRONG
    if isinstance(problem, Broken):
        return Kind.UNMET
    if isinstance(problem, AssertionError):
        return Kind.WRONG
    if isinstance(problem, TimeoutError):
        return Kind.ENDLESS
    return (
        Kind.LACKING
        if isinstance(problem, ArithmeticError | LookupError | TypeError | ValueError)
        else Kind.UNANSWERED
    )
