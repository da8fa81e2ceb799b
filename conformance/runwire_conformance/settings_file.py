"""The `runwire.toml` that `runwire init` writes: every table and key, each with its meaning."""

import json

from runwire_conformance.keys import TABLES
from runwire_conformance.short_limits import SHORT_LIMITS

PREFACE = """\
# Settings of `runwire check`, found in the working directory or named with --config; `runwire try`, `load` and `record`
# read the table [target].
# Take away the `#` before what you want to say. ${NAME} stands for a variable of the environment.
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
        "# The suite waits for what the server advertises. A server for tests is judged quickly with these limits,",
        "# which are set on the server and not here (`runwire-server` has options of these names):",
    ]
    lines += [f"#   {f'{name} {advice.value}':<30} {advice.why}" for name, advice in SHORT_LIMITS.items()]
    return "\n".join(lines) + "\n"
