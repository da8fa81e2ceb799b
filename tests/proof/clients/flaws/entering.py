"""The catalogue of flawed clients, and how one is entered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.proof.clients.careful import Client


@dataclass(frozen=True)
class Flaw:
    """A flawed client, what it breaks, and what it breaks besides."""

    kind: type[Client]
    breaks: str
    related: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the flaw."""
        return re.sub("(?<!^)(?=[A-Z])", "_", self.kind.__name__).lower()


FLAWS: list[Flaw] = []


def breaks(requirement: str, *related: str):  # type: ignore[no-untyped-def]
    """Enter a flawed client into the catalogue."""

    def enter(kind: type[Client]) -> type[Client]:
        FLAWS.append(Flaw(kind, requirement, related))
        return kind

    return enter
