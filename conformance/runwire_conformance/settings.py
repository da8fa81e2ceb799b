"""What the user said: options, and `runwire.toml`."""

import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runwire_conformance.target import DEFAULT_PROMPTS, Options


@dataclass(frozen=True, slots=True)
class Key:
    """A key of `runwire.toml`: what it means, and a value as an example."""

    meaning: str
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of `runwire.toml`: what it is for, and its keys."""

    purpose: str
    keys: Mapping[str, Key]


#: The tables of `runwire.toml`; what `runwire init` writes comes from here.
TABLES: Mapping[str, Table] = {
    "target": Table(
        "The server to judge, and how to get in.",
        {
            "url": Key("its origin, its discovery document, or ws://host:port/path", "http://localhost:8080"),
            "token": Key("a bearer token; keep it in the environment, not in this file", "${RUNWIRE_TOKEN}"),
            "cafile": Key("certificates to trust beside those of the system", "ca.pem"),
        },
    ),
    "prompts": Table(
        "What to ask an agent that cannot play scripts.",
        {
            "short": Key("a prompt with a short answer", DEFAULT_PROMPTS["short"]),
            "long": Key("a prompt with an answer of several seconds, to interrupt", DEFAULT_PROMPTS["long"]),
        },
    ),
    "hooks": Table(
        "What no client can cause from outside; what is absent is not exercised.",
        {
            "drain": Key("a command that makes the server drain; played last", "docker kill -s TERM app"),
        },
    ),
}
_HEADER = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_NAMED = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class SettingsError(Exception):
    """A setting is wrong; the message names place and remedy."""


def options_from(config: pytest.Config) -> tuple[Options, str | None]:
    """Return the options of a pytest session, and the URL that `runwire.toml` names; raises SettingsError."""
    file = config.getoption("--runwire-config")
    path = Path(file) if file else Path("runwire.toml")
    settings = read_settings(path) if file or path.exists() else {}
    target, prompts = settings.get("target", {}), dict(settings.get("prompts", {}))
    for given in config.getoption("--runwire-prompt"):
        name, equals, text = given.partition("=")
        if not equals or name not in DEFAULT_PROMPTS:
            raise SettingsError(f"a prompt is given as short=TEXT or long=TEXT, not {given!r}")
        prompts[name] = text
    headers = []
    for given in config.getoption("--runwire-header"):
        name, colon, value = given.partition(":")
        if not colon or not name.strip():
            raise SettingsError("a header is given as 'Name: value'")
        headers.append((name.strip(), value.strip()))
    options = Options(
        token=config.getoption("--runwire-token") or target.get("token"),
        headers=tuple(headers),
        prompts=prompts,
        hooks=settings.get("hooks", {}),
        tls=tls_context(config.getoption("--runwire-cafile") or target.get("cafile")),
        patience_s=config.getoption("--runwire-patience"),
    )
    return options, target.get("url")


def read_settings(path: Path) -> dict[str, dict[str, str]]:
    """Return the tables of a `runwire.toml` with variables expanded; raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as problem:
        raise SettingsError(f"{path}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path}: {problem}") from None
    settings: dict[str, dict[str, str]] = {}
    for table, values in document.items():
        if table not in TABLES or not isinstance(values, dict):
            place = _place(path, text, table)
            known = ", ".join(f"[{name}]" for name in TABLES)
            raise SettingsError(f"{place}: no table is called [{table}]; there are: {known}")
        for key, value in values.items():
            place = _place(path, text, table, key)
            if key not in TABLES[table].keys:
                known = ", ".join(sorted(TABLES[table].keys))
                raise SettingsError(f"{place}: [{table}] has no key {key}; it may have: {known}")
            settings.setdefault(table, {})[key] = _expanded(place, table, key, value)
    return settings


def tls_context(cafile: str | None) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates, or those in `cafile`; raises SettingsError."""
    try:
        return ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as problem:
        raise SettingsError(f"{cafile}: no certificates could be read ({problem})") from None


def _expanded(place: str, table: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{place}: [{table}] {key} must be a string")

    def replaced(found: re.Match[str]) -> str:
        try:
            return os.environ[found[1]]
        except KeyError:
            raise SettingsError(f"{place}: [{table}] {key} names ${{{found[1]}}}, which is not set") from None

    return _VARIABLE.sub(replaced, value)


def _place(path: Path, text: str, table: str, key: str = "") -> str:
    """Return file and line of a table, or of a key in it; without the line where the file writes it otherwise."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            current = header[1]
        named = _NAMED.match(line)
        if (current, named[1] if named else "") in {(table, key), ("", table)}:
            return f"{path}:{number}"
    return str(path)
