"""What a server says is made fit to print wherever it enters an output."""

from __future__ import annotations

import html
import io
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown

from runwire_conformance.case import Claim
from runwire_conformance.report.ctrf import as_ctrf
from runwire_conformance.report.document import as_json, document_of
from runwire_conformance.report.explain import explain_case, on_a_line, sentence, short
from runwire_conformance.report.html import as_html
from runwire_conformance.report.markdown import as_markdown
from runwire_conformance.report.terminal import failures, not_exercised, table
from runwire_conformance.rules import Finding
from runwire_conformance.tools.single_message import Problem
from runwire_conformance.tools.terminal.screen import Plain
from runwire_conformance.trace.printing import code, printable
from runwire_conformance.trace.trace import Trace
from runwire_conformance.verdict.baseline import Comparison
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict, Witness
from runwire_conformance.verdict.outcome import Case, CaseResult, Outcome, State
from runwire_conformance.verdict.result import Report
from runwire_conformance.verdict.verdict import class_results
from runwire_spec import catalogue

HOSTILE = {
    "colour": "\x1b[31mred",
    "a title of the window": "\x1b]0;pwned\x07",
    "C1": "\x9b31m",
    "backspaces": "no\x08\x08yes",
    "NUL": "a\x00b",
    "carriage return": "good\rbad",
    "right to left": "\u202egnihton",
    "isolates": "\u2066x\u2069",
    "marks": "\u200e\u200f\u061c",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "nothing to see": "a\u200bb\ufeffc\u2060d\u00ade",
    "half a pair": "\ud83d",
    "github": "::error::pwned",
    "github, later": "x\n::set-output name=a::b",
    "github, indented": "x\n   ::error::b",
    "github, where a line may break": "some words ::error file=x::b",
    "azure": "x ##vso[task.setvariable]y",
    "old github": "a ##[error]b",
}
COMMAND = re.compile(r"^\s*::\S|##(\[|vso\[|teamcity\[)", re.MULTILINE)
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def is_fit(text: str) -> bool:
    """Whether nothing obeys a text."""
    return not COMMAND.search(text) and not UNSEEN.search(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_nobody_obeys_what_is_fit_to_print(name: str) -> None:
    one, several = printable(HOSTILE[name]), printable(HOSTILE[name], lines=True)

    assert is_fit(one) and is_fit(several)
    assert len(one.splitlines()) == 1


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b\r\n:#[`|@!")))
def test_any_text_can_be_printed_and_stays_what_it_is(text: str) -> None:
    for told in (printable(text), printable(text, lines=True), code(text)):
        told.encode()
        assert is_fit(told)
    assert printable(printable(text)) == printable(text)
    assert len(printable(text).splitlines()) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "Zażółć",
        "👩‍👩‍👧",
        "می‌خواهم",
        "a::b",
        "std::vector",
        "x # y",
        "a\tb",
        "日本語",
        "100 %",
        "::",
        "C:\\x1b",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert printable(text) == text


@given(st.text(alphabet=st.sampled_from("`ab|![](): @x\n<>&*_~\\w./$")))
def test_nothing_in_code_is_alive(text: str) -> None:
    shown = markdown(f"told {code(text)} so")

    told = re.fullmatch(r"<p>told <code>([^<>]*)</code> so</p>", shown)
    assert told is not None, (text, shown)
    assert html.unescape(told[1]) == printable(text)


@pytest.mark.parametrize(
    "text", ["http://evil.example", "www.evil.example", "a@evil.example", "@everyone", "a|b", "`x`"]
)
def test_no_link_or_mention_or_cell_is_made_of_code(text: str) -> None:
    assert not re.search(r"://|www\.|@|\||`", code(text))


EVIL = (
    "x\n::error::pwned\n\x1b[2J\x9b31m\u202e ![i](http://evil.example/i.png) [l](http://evil.example) @everyone"
    " <img src=http://evil.example/j.png> http://evil.example ##[error]x `a`"
)


def whole_report() -> Report:
    """Return a report on a server that says nothing but what somebody could obey."""
    trace = Trace("websocket", EVIL)
    trace.add("server", "text", EVIL)
    accusation = Accusation("runs::a_case", EVIL, EVIL, (trace,))
    judgements = (
        Judgement(catalogue()["RUN-4"], Verdict.FAIL, (EVIL,), (accusation,)),
        Judgement(catalogue()["DRAIN-1"], Verdict.NOT_EXERCISED, (EVIL,)),
        Judgement(catalogue()["RUN-6"], Verdict.PASS, (), (), (), Witness("runs::a_case", (trace,))),
    )
    classes = class_results(judgements, frozenset(), False)
    baseline = Comparison("known.toml", frozenset(), (EVIL,), (EVIL,))
    return Report(
        "http://h", EVIL, judgements, classes, 1.0, judge_errors=(EVIL,), remarks=(EVIL,), baseline=baseline
    )


def failed_case() -> CaseResult:
    """Return a case that failed for what the server said."""
    case = Case("runs::a_case", lambda: None, Claim(("RUN-4",)))
    return CaseResult(case, Outcome(State.FAILED, EVIL, findings=(Finding("RUN-5", EVIL),), details=EVIL))


OUTPUTS = {
    "failures": lambda: failures(whole_report()),
    "not exercised": lambda: not_exercised(whole_report()),
    "table": lambda: table(whole_report()),
    "markdown": lambda: as_markdown(document_of(whole_report())),
    "html": lambda: as_html(document_of(whole_report())),
    "json": lambda: as_json(document_of(whole_report())),
    "ctrf": lambda: as_ctrf(document_of(whole_report())),
    "junit": lambda: explain_case(failed_case()) + "\n" + short(failed_case()),
    "problem": lambda: printable(Problem("f:1", EVIL)),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_output_says_what_somebody_would_obey(name: str) -> None:
    assert is_fit(OUTPUTS[name]())


def test_nothing_in_markdown_is_alive() -> None:
    text = as_markdown(document_of(whole_report()))
    outside = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text)
    outside = re.sub(r"<code>.*?</code>", "", outside)

    assert not re.search(r"evil|@everyone|!\[|<img", outside), outside
    assert "<img" not in re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text)


def test_an_answer_is_fit_to_print_however_it_is_cut() -> None:
    said = "see\n::error::x\n  ##[group]y\nstd::vector a ::b:: # c\n##vso[x]z::"
    for size in (1, 2, 3, 5, 100):
        out = io.StringIO()
        screen = Plain(out, io.StringIO())
        for begin in range(0, len(said), size):
            screen.event({"type": "token", "data": said[begin : begin + size]})
        screen.event({"type": "done", "data": "", "status": "completed"})

        assert is_fit(out.getvalue()), (size, out.getvalue())
        assert "std::vector" in out.getvalue()
        assert out.getvalue().replace(" ", "") == said.replace(" ", "") + "\n"


@pytest.mark.parametrize(("columns", "most"), [(80, 80), (300, 100), (0, 100), (None, 100)])
def test_a_sentence_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int | None, most: int
) -> None:
    def size(_: int) -> os.terminal_size:
        if columns is None:
            raise OSError
        return os.terminal_size((columns, 24))

    monkeypatch.setattr(os, "get_terminal_size", size)
    lines = sentence(catalogue()["CLOSE-2"]).splitlines()

    assert most - 30 < max(map(len, lines)) <= most
    assert len(on_a_line("word " * 40).splitlines()) == (3 if columns == 80 else 1)
