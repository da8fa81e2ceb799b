"""Reports to read and compare."""

from __future__ import annotations

from html.parser import HTMLParser

from runwire_conformance.trace.redaction import Redaction
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict, Witness
from runwire_conformance.verdict.reason import Kind
from runwire_conformance.verdict.reproduction import Reproduction
from runwire_conformance.verdict.result import Report
from runwire_conformance.verdict.verdict import class_results
from runwire_spec import catalogue

HOSTILE = "</script><img src=x onerror=alert(1)> | `a` ``` \"'&\u2028"


SECRET = "s3cret-t0ken-value"


def talk(*said: str) -> Trace:
    """Return a conversation in which a prompt was answered so."""
    trace = Trace("websocket", "/ws/generate")
    trace.add("client", "text", '{"prompt":"hi"}')
    for text in said:
        trace.add("server", "text", text)
    return trace


def report(*verdicts: tuple[str, Verdict]) -> Report:
    """Return a report with these verdicts; what is broken was broken by a server that says hostile things."""
    judgements = []
    for identifier, verdict in verdicts:
        said = (talk(HOSTILE, f"bearer {SECRET}"),)
        accused = verdict in {Verdict.FAIL, Verdict.ADVICE}
        accusation = Accusation("runs::a_case", f"got {HOSTILE} {SECRET}", "", said, 0.5, Kind.WRONG)
        judgements.append(
            Judgement(
                catalogue()[identifier],
                verdict,
                (f"got {HOSTILE} {SECRET}",) if verdict is not Verdict.PASS else (),
                (accusation,) if accused else (),
                ("runs::a_case",),
                Witness("runs::a_case", said, 0.2) if verdict is Verdict.PASS else None,
            )
        )
    return Report(
        "http://server", HOSTILE, tuple(judgements), class_results(judgements, frozenset({"sse"}), False), 2.0,
        ("runs::a_case", 0.5), began=1_800_000_000.0, reproduction=Reproduction("http://server"),
        redaction=Redaction([SECRET]),
    )  # fmt: skip


GOOD = report(("RUN-6", Verdict.PASS), ("SSE-13", Verdict.PASS), ("RUN-4", Verdict.PASS))


BAD = report(
    ("RUN-4", Verdict.FAIL), ("RUN-6", Verdict.PASS), ("MSG-18", Verdict.ADVICE), ("DRAIN-1", Verdict.NOT_EXERCISED),
    ("RESUME-1", Verdict.NOT_OFFERED), ("SSE-13", Verdict.PASS),
)  # fmt: skip


class Page(HTMLParser):
    """What is on a page: elements by their tag, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element with a tag."""
        return [attributes for name, attributes in self.elements if name == tag]
