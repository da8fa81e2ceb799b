"""HTML report: one self-contained file that works without JavaScript."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from runwire_conformance.report.document import Document, guilty, left_out, to_configure
from runwire_conformance.report.words import PLAIN_SIGNS, headline
from runwire_conformance.verdict.judgement import Verdict

#: How verdicts are told: their sign and their word.
SHOWN = {
    Verdict.FAIL: ("✕", "broken"),
    Verdict.JUDGE_ERROR: ("!", "judge error"),
    Verdict.ADVICE: ("△", "advice"),
    Verdict.NOT_JUDGED: ("◌", "not judged"),
    Verdict.NOT_EXERCISED: ("?", "not exercised"),
    Verdict.PASS: ("✓", "held"),
    Verdict.NOT_OFFERED: ("–", "not offered"),
}

_CODE = re.compile(r"`([^`]+)`")
_REFERENCE = re.compile(r"\[([A-Z]+-[0-9]+)\]")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def as_html(document: Document) -> str:
    """Return the report as an HTML file."""
    script = _text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    requirements = document["requirements"]
    known = {entry["id"] for entry in requirements}
    sections = {name: list(own) for name, own in groupby(_by_class(document), lambda entry: entry["class"])}
    return page("report.html.jinja").render(
        report=document,
        headline=headline(document),
        tone=_tone(document),
        shown={str(verdict): words for verdict, words in SHOWN.items()},
        sections=sections,
        broken=list(guilty(document)),
        missing=to_configure(document),
        left_out=left_out(document),
        signs=PLAIN_SIGNS,
        prose=lambda text: prose(text, known),
        style=style(),
        script=Markup(script),
        script_digest=digest,
    )


def style() -> Markup:
    """Return the style sheet of every page."""
    return Markup(_text("report.css"))


def prose(text: str, known: set[str]) -> Markup:
    """Return a sentence of the specification as HTML: code, and links to requirements that the page holds."""
    parts = []
    for number, part in enumerate(_CODE.split(text)):
        if number % 2:
            parts.append(f"<code>{escape(part)}</code>")
        else:
            plain = str(escape(_LINK.sub(r"\1", part)))
            parts.append(_REFERENCE.sub(lambda found: _reference(found[1], known), plain))
    return Markup("".join(parts))


@cache
def page(name: str) -> Template:
    """Return a page's template, in which every text is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text(name))


def _by_class(document: Document) -> list[Document]:
    order = [entry["class"] for entry in document["classes"]]
    return sorted(document["requirements"], key=lambda entry: order.index(entry["class"]))


def _tone(document: Document) -> str:
    """Return which colour the headline has: `bad`, `open` or `good`."""
    if document["counts"]["fail"] or document["judge_errors"]:
        return "bad"
    claimed = [entry["standing"] for entry in document["classes"] if entry["standing"] != "not offered"]
    return "good" if claimed and set(claimed) == {"conformant"} else "open"


def _reference(identifier: str, known: set[str]) -> str:
    return f'<a href="#{identifier}">{identifier}</a>' if identifier in known else identifier


@cache
def _text(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
