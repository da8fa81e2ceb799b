"""Inventory of the cases, for lookup by name and by requirement without a server."""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import CodeType

from runwire_conformance import cases
from runwire_conformance.case import Claim, claim_of, topic


@dataclass(frozen=True, slots=True)
class Listed:
    """A case of the suite: its module and name, its claim, its code, and the line where it stands."""

    module: str
    name: str
    claim: Claim
    code: CodeType
    line: int

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called when it is played, over each transport that it plays on."""
        whole = f"{topic(self.module)}::{self.name}"
        return tuple(f"{whole}[{transport}]" for transport in self.claim.on) or (whole,)


@cache
def suite() -> tuple[Listed, ...]:
    """Return every case, in the order of their modules."""
    found = []
    for module in pkgutil.iter_modules(cases.__path__):
        for name, value in vars(importlib.import_module(f"{cases.__name__}.{module.name}")).items():
            claim = claim_of(value)
            if claim is not None:
                found.append(Listed(module.name, name, claim, value.__code__, value.__code__.co_firstlineno))
    return tuple(found)


@cache
def case_names() -> frozenset[str]:
    """Return the names that cases are told by."""
    return frozenset(name for case in suite() for name in case.names)
