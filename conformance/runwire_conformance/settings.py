"""User settings: options and `runwire.toml`."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runwire_conformance.client.discovery.profile import Options
from runwire_conformance.client.options.keys import DEFAULT_PROMPTS, TABLES
from runwire_conformance.client.options.search_options import Search
from runwire_conformance.fuzz.plan import BadPlan, saved_plans
from runwire_conformance.trace.json_reading import read_toml
from runwire_conformance.trace.limits import SHORT_LIMITS

if TYPE_CHECKING:  # most commands need no pytest, which takes a while
    import pytest

#: Keys that hold what goes into a header: characters that HTTP allows there (RFC 9110, section 5.5).
TOKENS = (("target", "token"), ("hooks", "other_token"), ("hooks", "forbidden_token"))
_TOKEN = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[ -~]*")
_HEADER = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_NAMED = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class SettingsError(Exception):
    """A setting is wrong; the message names place and remedy."""


def options_from(config: pytest.Config) -> tuple[Options, str | None]:
    """Return the options of a pytest session, and the URL that `runwire.toml` names; raises SettingsError."""
    settings = settings_of(config.getoption("--runwire-config"))
    target, prompts = settings.get("target", {}), dict(settings.get("prompts", {}))
    for given in config.getoption("--runwire-prompt"):
        name, equals, text = given.partition("=")
        if not equals or name not in DEFAULT_PROMPTS:
            raise SettingsError(f"a prompt must have the form short=TEXT or long=TEXT, not {given!r}")
        prompts[name] = text
    hooks = dict(settings.get("hooks", {}))
    urls = hooks.pop("urls", [])
    options = replace(
        connection_options(
            target,
            config.getoption("--runwire-token"),
            config.getoption("--runwire-header"),
            config.getoption("--runwire-cafile"),
        ),
        prompts=prompts,
        hooks=hooks,
        urls=tuple(urls),
        patience_s=config.getoption("--runwire-patience"),
        time_limit_s=config.getoption("--runwire-time-limit"),
        quick=config.getoption("--runwire-quick"),
        search=_search(config),
    )
    return options, target.get("url")


def connection_options(
    target: Mapping[str, Any], token: str | None, headers: Sequence[str], cafile: str | None
) -> Options:
    """Return how a server is reached, from the table `[target]` and from what a call says; raises SettingsError."""
    if token and not _TOKEN.fullmatch(token):
        raise SettingsError("a token must not contain spaces or non-ASCII characters")
    return Options(
        token=token or target.get("token"),
        headers=tuple(map(_header, [*target.get("headers", []), *headers])),
        tls=tls_context(cafile or target.get("cafile")),
    )


def settings_of(file: str | None) -> dict[str, dict[str, Any]]:
    """Return the tables of a file, or of the working directory's `runwire.toml` if it has one; raises SettingsError."""
    path = Path(file or "runwire.toml")
    return read_settings(path) if file or path.exists() else {}


def _search(config: pytest.Config) -> Search:
    examples = config.getoption("--runwire-examples")
    if examples < 1:
        raise SettingsError("--examples must be at least 1")
    named = config.getoption("--runwire-regressions")
    folder = Path(named).absolute() if named else None
    try:
        saved = saved_plans(folder) if folder else ()
    except BadPlan as problem:
        raise SettingsError(str(problem)) from None
    except OSError as problem:
        raise SettingsError(f"{problem.filename}: {problem.strerror}") from None
    return Search(config.getoption("--runwire-seed"), examples, folder, tuple(saved))


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()) or not _VALUE.fullmatch(value.strip()):
        raise SettingsError("a header must have the form 'Name: value'")
    return name.strip(), value.strip()


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tables of a `runwire.toml` with variables expanded; raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = read_toml(text)
    except OSError as problem:
        raise SettingsError(f"{path}: {problem.strerror}") from None
    except ValueError as problem:
        raise SettingsError(f"{path}: {problem}") from None
    settings: dict[str, dict[str, Any]] = {}
    for table, values in document.items():
        if table not in TABLES or not isinstance(values, dict):
            place = _place(path, text, table)
            known = ", ".join(f"[{name}]" for name in TABLES)
            raise SettingsError(
                f"{place}: unknown table [{table}]; the tables are: {known}; if the file belongs to another tool, name "
                "your own with --config"
            )
        for key, value in values.items():
            place = _place(path, text, table, key)
            if key not in TABLES[table].keys:
                known = ", ".join(sorted(TABLES[table].keys))
                raise SettingsError(f"{place}: [{table}] has no key {key}; its keys are: {known}")
            settings.setdefault(table, {})[key] = _value(place, table, key, value)
    return settings


def tls_context(cafile: str | None) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates, or those in `cafile`; raises SettingsError."""
    try:
        return ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as problem:
        raise SettingsError(f"{cafile}: cannot read certificates ({problem})") from None


def _value(place: str, table: str, key: str, value: Any) -> str | list[str]:
    """Return a value with variables expanded; a complaint about it does not show it, as it may be a secret."""
    is_list = TABLES[table].keys[key].is_list
    if is_list:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{place}: [{table}] {key} must be a list of strings")
        found = [_expanded(place, table, key, item) for item in value]
    elif isinstance(value, str):
        found = [_expanded(place, table, key, value)]
    else:
        raise SettingsError(f"{place}: [{table}] {key} must be a string")
    for text in found:
        if complaint := _complaint(table, key, text):
            raise SettingsError(f"{place}: [{table}] {key} {complaint}")
    return found if is_list else found[0]


def _complaint(table: str, key: str, text: str) -> str | None:
    if (table, key) in TOKENS and not _TOKEN.fullmatch(text):
        return "must be a token without spaces"
    if (table, key) == ("target", "headers"):
        try:
            _header(text)
        except SettingsError:
            return "must hold headers, each as 'Name: value'"
    if key == "cookie" and not re.fullmatch(r"[!-<>-~]+=[!-:<-~]+", text):
        return "must be one cookie as name=value"
    if key == "origin" and not re.fullmatch(r"https?://[^/\s]+", text):
        return "must be an origin such as https://app.example"
    if key == "urls" and not re.fullmatch(r"(https?|wss?)://[^/\s]+/?", text):
        return "must hold base URLs such as http://node-b:8080"
    return None


def _expanded(place: str, table: str, key: str, value: str) -> str:
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


PREFACE = """\
# Settings of `runwire check`, read from the working directory or from --config FILE; `runwire try`, `load` and `record`
# read the table [target].
# Remove the `#` in front of the keys that you want to set. ${NAME} is replaced by that environment variable.
"""


def commented_settings(url: str = "") -> str:
    """Return a file with every key; all are commented out but the URL, if one is given."""
    parts = [PREFACE, _limits()]
    for name, table in TABLES.items():
        lines = [f"# {table.purpose}", f"[{name}]"]
        for key, meaning in table.keys.items():
            said = name == "target" and key == "url" and bool(url)
            value = json.dumps(url if said else meaning.example, ensure_ascii=False)
            lines += [f"# {meaning.meaning}", f"{'' if said else '#'}{key} = {value}"]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _limits() -> str:
    """Return the comment that says which limits make a server quick to judge."""
    lines = [
        "# The suite has to wait for the limits that the server advertises. These make a test server quick to judge;",
        "# set them on the server, not here (`runwire-server` has options with these names):",
    ]
    lines += [f"#   {f'{name} {advice.value}':<30} {advice.why}" for name, advice in SHORT_LIMITS.items()]
    return "\n".join(lines) + "\n"
