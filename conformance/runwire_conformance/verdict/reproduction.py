"""Reproduction command for a requirement, without credentials."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import pytest

#: Options whose values a command may show.
SHOWN = ("config", "cafile", "concurrency")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How the judge was called: the server's URL, and options that are ready for a shell."""

    url: str
    options: tuple[str, ...] = ()
    #: The options that narrow what is judged.
    selection: tuple[str, ...] = ()

    def command(self, requirement: str = "") -> str:
        """Return the command that judges everything again, or one requirement."""
        only = ("--requirement", requirement) if requirement else self.selection
        return " ".join(["runwire", "check", shlex.quote(self.url), *only, *self.options])


def reproduction_of(config: pytest.Config, url: str) -> Reproduction:
    """Return how a session was called; credentials stand as variables of the environment."""
    options: list[str] = []
    for name in SHOWN:
        if value := config.getoption(f"--runwire-{name}"):
            options += [f"--{name}", shlex.quote(str(value))]
    if (patience := config.getoption("--runwire-patience")) != 30:
        options += ["--patience", f"{patience:g}"]
    if config.getoption("--runwire-quick"):
        options.append("--quick")
    if (limit := config.getoption("--runwire-time-limit")) is not None:
        options += ["--time-limit", f"{limit:g}"]
    for given in config.getoption("--runwire-prompt"):
        name, _, text = given.partition("=")
        options += [f"--prompt-{name}", shlex.quote(text)]
    if config.getoption("--runwire-token"):
        options += ["--token", '"$RUNWIRE_TOKEN"']
    options += _headers(config.getoption("--runwire-header"))
    selection: list[str] = []
    for name, value in {
        "--class": config.getoption("--runwire-class"),
        "--requirement": config.getoption("--runwire-requirement"),
        "-k": config.getoption("keyword", ""),
    }.items():
        selection += [name, shlex.quote(value)] if value else []
    return Reproduction(shown_url(url), tuple(options), tuple(selection))


def shown_url(url: str) -> str:
    """Return a URL without user, password and the values of its query, which may be credentials."""
    try:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
    except ValueError:
        return url
    query = re.sub(r"=[^&]*", "=***", parts.query)
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def _headers(headers: Sequence[str]) -> list[str]:
    options = []
    for header in headers:
        name = header.partition(":")[0].strip()
        variable = re.sub(r"\W", "_", name).upper()
        options += ["--header", f'"{name}: ${variable}"']
    return options
