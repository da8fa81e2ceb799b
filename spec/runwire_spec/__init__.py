"""The catalogue of Runwire's requirements and its registries, as extracted from the specification.

The text in `spec/*.md` is the source; `requirements.json` and `registries.json` are generated from it by
`python -m runwire_spec generate` and are what an installed package reads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

__all__ = ["Requirement", "catalogue", "informational", "registries"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One numbered sentence of the specification.

    `keyword` is `MUST`, `MUST NOT`, `SHOULD`, `SHOULD NOT` or `MAY`; `role` is `server` or `client`;
    `conformance_class` is a row of the registry `classes`; `sentence` and `why` are Markdown.
    """

    id: str
    keyword: str
    role: str
    conformance_class: str
    sentence: str
    chapter: str
    chapter_title: str
    section: str
    why: str | None = None
    not_observable_because: str | None = None

    @property
    def observable(self) -> bool:
        """Whether a message can show that the requirement is broken."""
        return self.not_observable_because is None

    @property
    def mandatory(self) -> bool:
        """Whether breaking it is a failure; otherwise it is advice."""
        return self.keyword in {"MUST", "MUST NOT"}

    @property
    def provable(self) -> bool:
        """Whether a judge of servers can be asked for a case that proves it."""
        return self.role == "server" and self.observable and self.keyword != "MAY"

    @property
    def link(self) -> str:
        """Where the sentence stands, relative to the root of the repository."""
        return f"spec/{self.chapter}#{self.id}"


@cache
def catalogue() -> Mapping[str, Requirement]:
    """Return every requirement by its id, in the order of the text."""
    entries = json.loads(_data("requirements.json"))
    return MappingProxyType({entry["id"]: Requirement(**entry) for entry in entries})


def informational() -> Mapping[str, str]:
    """Return by name what is only recorded and never judged: what the text leaves to servers (chapter 17)."""
    return {row["name"]: row["what_a_server_does"] for row in registries()["informational"]}


@cache
def registries() -> Mapping[str, list[dict[str, str]]]:
    """Return the tables of chapter 18 by name; each row maps a column's name to the cell's text."""
    return MappingProxyType(json.loads(_data("registries.json")))


def _data(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
