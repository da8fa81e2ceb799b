"""Sanitisation of untrusted text for terminals, reports and logs.

A terminal obeys control characters, eyes obey marks of direction, and a CI obeys what stands at a line's beginning.
"""

import json
import re
from typing import Any

#: What a terminal obeys (C0, C1), what turns the direction of text, what ends a line for some, what is not to be seen,
#: and halves of surrogate pairs, which cannot be written at all. Joiners stay, as words and emoji are made with them.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0001]"
)
_LINE_END = re.compile(r"\r\n|\r|\n")

#: Commands to a CI: `::error::` of GitHub, wherever a line could be broken before it; `##[error]`, `##vso[…]` anywhere.
_COMMAND = re.compile(r"(?<!\S):{2,}(?=\S)|##(?=\[|vso\[|teamcity\[)")

#: What Markdown makes something of, in a text and in a table, and what GitHub makes links and mentions of.
_ALIVE = re.compile(r"[\\`*_\[\]()<>{}!|~&@$\"']|:(?=//)|(?<=www)\.", re.IGNORECASE)

#: How a line break is shown in a text of one line.
BREAK = " ⏎ "


def printable(text: object, *, lines: bool = False) -> str:
    """Return a foreign text so that it can be printed: in one line, or with its line breaks where `lines` may be.

    What nobody should obey is shown as U+FFFD; a command to a CI is taken apart by spaces.
    """
    told = _LINE_END.sub("\n" if lines else BREAK, str(text))
    return _COMMAND.sub(_apart, _UNFIT.sub("\ufffd", told))


def _apart(found: re.Match[str]) -> str:
    return " ".join(found[0])


def printable_json(text: str) -> str:
    """Return a JSON text of the same meaning that can be printed."""
    return _UNFIT.sub(lambda found: json.dumps(found[0])[1:-1], text)


def printable_value(value: Any) -> Any:
    """Return a JSON value all of whose texts are fit to print, with their line breaks."""
    if isinstance(value, dict):
        return {printable(name): printable_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [printable_value(item) for item in value]
    return printable(value, lines=True) if isinstance(value, str) else value


def code(text: object) -> str:
    """Return a foreign text as code in Markdown, in which no image, link, mention, cell or markup is alive."""
    return f"<code>{_ALIVE.sub(lambda found: f'&#{ord(found[0])};', printable(text))}</code>"
