"""JUnit XML of the plays: one test per scenario and transport, in pytest's format."""

import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from runwire_conformance.tools.check_client.expected.expectation_result import ExpectationState
from runwire_conformance.tools.check_client.play import PlayResult
from runwire_conformance.trace.printing import printable
from runwire_conformance.trace.transcript import transcript
from runwire_conformance.verdict.judgement import Accusation, Verdict
from runwire_conformance.verdict.result import Report

#: What XML 1.0 has no character for, besides what `printable` takes.
_NO_XML = re.compile("[\ufffe\uffff]")


def as_junit(plays: Sequence[PlayResult], report: Report) -> str:
    """Return the plays behind a report as JUnit XML; a test fails that shows a MUST to be broken."""
    cases = [_case(play, report) for play in plays]
    suite = ElementTree.Element("testsuite", name="runwire check-client", tests=str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{report.seconds:.3f}")
    suite.set("timestamp", datetime.fromtimestamp(report.began, UTC).isoformat())
    suite.set("hostname", platform.node())
    suite.extend(cases)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(play: PlayResult, report: Report) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname="check_client", name=play.name, time=f"{play.seconds:.3f}"
    )
    properties = ElementTree.SubElement(case, "properties")
    for identifier in play.scenario.ids:
        ElementTree.SubElement(properties, "property", name="requirement", value=identifier)
    broken = {
        one.requirement.id: accusation
        for one in report.by(Verdict.FAIL)
        for accusation in one.accusations
        if accusation.case == play.name
    }
    if play.error:
        _told(case, "error", "the judge failed", play.error)
    elif broken:
        told = "; ".join(f"[{name}] {one.reason}" for name, one in broken.items())
        _told(case, "failure", told, "\n\n".join(map(_details, broken.values())))
    elif not any(standing.state is ExpectationState.HELD for _, standing in play.standings):
        reasons = dict.fromkeys(standing.reason for _, standing in play.standings if standing.reason)
        _told(case, "skipped", play.left_out or play.unplayed or "; ".join(reasons) or "not exercised")
    return case


def _details(accusation: Accusation) -> str:
    return "\n".join([accusation.details or accusation.reason, *map(transcript, accusation.traces)])


def _told(case: ElementTree.Element, tag: str, message: str, text: str = "") -> None:
    said = ElementTree.SubElement(case, tag, message=_NO_XML.sub("\ufffd", printable(message)))
    said.text = _NO_XML.sub("\ufffd", printable(text, lines=True))
