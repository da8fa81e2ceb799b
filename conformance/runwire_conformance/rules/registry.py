"""Registration of rules, with the requirements they judge and the evidence that one was exercised."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from runwire_conformance.rules.finding import Finding, IndexedFinding, RuleContext
from runwire_conformance.trace.trace import Trace

#: A rule over one conversation with a server, over all connections of a recording, and over what its client says.
ConversationRule = Callable[[Trace, RuleContext], Iterator[Finding]]
ConnectionsRule = Callable[[Sequence[Trace]], Iterator[IndexedFinding]]
ClientRule = Callable[[Trace], Iterator[Finding]]

Judges = TypeVar("Judges", bound=Callable[..., Iterator[Any]])


@dataclass(slots=True)
class Rule(Generic[Judges]):
    """A pure function over traces, and what it judges.

    `seen_by` holds for each requirement what a recording must show for it to be exercised: a message of one of these
    types; `any` message of the server or `said` by the client; a `close`, or one whose code begins as in `close 40`;
    a `stream` or `socket`. Empty: a recording shows when it is broken, and cannot show that it was kept.
    `by_clock` are those that nobody can tell who does not know when things happened. A rule with `timing` leans on the
    judge's own clock: what it finds accuses only when a case that plays alone finds it again.
    """

    judge: Judges
    seen_by: dict[str, frozenset[str]] = field(default_factory=dict)
    by_clock: set[str] = field(default_factory=set)
    timing: bool = False

    @property
    def name(self) -> str:
        """The function with its module, such as `log.runs_end_once`."""
        return f"{self.judge.__module__.rpartition('.')[2]}.{self.judge.__name__}"


class Rules(Generic[Judges]):
    """The rules of one module in the order in which they stand there."""

    def __init__(self) -> None:
        self._by_name: dict[str, Rule[Judges]] = {}

    def __iter__(self) -> Iterator[Rule[Judges]]:
        """Yield the rules."""
        return iter(self._by_name.values())

    def rule(
        self, *ids: str, seen_by: str | Collection[str] = (), by_clock: bool = False, timing: bool = False
    ) -> Callable[[Judges], Judges]:
        """Register a function that judges the requirements `ids`; given twice, it judges all of both."""
        shown = frozenset([seen_by] if isinstance(seen_by, str) else seen_by)

        def registered(judge: Judges) -> Judges:
            rule = self._by_name.setdefault(judge.__name__, Rule(judge))
            rule.seen_by |= dict.fromkeys(ids, shown)
            rule.by_clock.update(ids if by_clock or timing else ())
            rule.timing = rule.timing or timing
            return judge

        return registered
