"""The `runwire.toml` that `runwire init` writes: every table and key, each with its meaning."""

import json

from runwire_conformance.keys import TABLES

PREFACE = """\
# Settings of `runwire check`, found in the working directory or named with --config; `runwire try`, `load` and `record`
# read the table [target].
# Take away the `#` before what you want to say. ${NAME} stands for a variable of the environment.
"""


def commented_settings(url: str = "") -> str:
    """Return a file with every key; all are commented out but the URL, if one is given."""
    parts = [PREFACE]
    for name, table in TABLES.items():
        lines = [f"# {table.purpose}", f"[{name}]"]
        for key, meaning in table.keys.items():
            said = name == "target" and key == "url" and bool(url)
            value = json.dumps(url if said else meaning.example, ensure_ascii=False)
            lines += [f"# {meaning.meaning}", f"{'' if said else '#'}{key} = {value}"]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
