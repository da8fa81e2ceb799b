"""Claims of a client: classes of the registry `client_classes`, and transports. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from runwire_conformance.tools.check_client.scenario import Scenario
from runwire_spec import Requirement, catalogue, registries

#: What a client claims that says nothing.
LEAST = "watches"

TRANSPORTS = ("websocket", "sse")


class NoClaim(ValueError):
    """A claim names what does not exist; the message says what there is."""


@cache
def client_classes() -> dict[str, tuple[str, ...]]:
    """Return the requirements of each class of clients, by its name."""
    return {row["class"]: tuple(row["requirements"].split()) for row in registries()["client_classes"]}


@cache
def bound() -> dict[str, Requirement]:
    """Return the requirements of the role client that can be judged, each with the class of clients that it binds."""
    return {
        identifier: replace(catalogue()[identifier], conformance_class=name)
        for name, ids in client_classes().items()
        for identifier in ids
        if catalogue()[identifier].not_observable_because is None
    }


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """What a client claims."""

    classes: frozenset[str]
    transports: tuple[str, ...] = TRANSPORTS

    def plays(self, scenario: Scenario) -> tuple[str, ...]:
        """Return the transports on which a scenario is played to such a client."""
        if not {scenario.conformance_class, *filter(None, [scenario.also])} <= self.classes:
            return ()
        if scenario.transports == ("auto",):
            return ("auto",) if self.transports == TRANSPORTS else ()
        return tuple(name for name in scenario.transports if name in self.transports)


def profile_of(claims: Iterable[str], transports: Sequence[str]) -> ClientProfile:
    """Return the profile of a client, with the classes that its claims need; raises NoClaim."""
    needs = {row["class"]: row["needs"].strip("`") for row in registries()["client_classes"]}
    wanted = {LEAST}
    for name in claims:
        if name == "all":
            wanted |= needs.keys()
        elif name not in needs:
            raise NoClaim(f"unknown client class {name!r}; the classes are: {', '.join(needs)}, and all")
        while name in needs:
            wanted.add(name)
            name = needs[name]
    for name in transports:
        if name not in TRANSPORTS:
            raise NoClaim(f"unknown transport {name!r}; the transports are: {', '.join(TRANSPORTS)}")
    return ClientProfile(
        frozenset(wanted), tuple(name for name in TRANSPORTS if name in transports) or TRANSPORTS
    )
