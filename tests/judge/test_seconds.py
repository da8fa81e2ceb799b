"""No case and no look judges by a time of its own: every literal number of seconds says where it comes from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import runwire_conformance

JUDGE = Path(runwire_conformance.__file__).parent
LOOKED_AT = (
    *sorted((JUDGE / "cases").glob("*.py")),
    *sorted((JUDGE / "client/conversations").glob("*.py")),
    *sorted((JUDGE / "runner/phases").glob("*.py")),
)

#: Calls whose arguments are times, by the names of what is called: at which places these stand.
TIMED = {
    "sleep": (0,),
    "timeout": (0,),
    "terminal": (0,),
    "whole": (0,),
    "next_event": (0,),
    "event": (1,),
    "until_text": (1,),
    "closed": (1,),
    "finished": (0,),
    "wait_until": (1,),
    "message": (3,),
    "next_message": (1,),
    "within": (0, 1),
    "terminal_within": (0, 1),
    "ask": (1,),
    "ask_text": (1,),
    "closing": (2,),
}
NAMED = "seconds"

#: How a source is named: a sentence, a chapter or section, or that the number only shortens what a sentence grants.
EXPLAINED = "#"


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of each number of seconds that stands by itself in a call that waits."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        times = [call.args[place] for place in TIMED.get(name, ()) if place < len(call.args)]
        times += [keyword.value for keyword in call.keywords if keyword.arg == NAMED and name in TIMED]
        for time in times:
            yield from ((time.lineno, ast.unparse(time)) for part in _terms(time) if _is_number(part))


def _terms(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what a time is added up from: a factor shortens or multiplies a bound, and is none of these."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from _terms(node.left)
        yield from _terms(node.right)
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"min", "max"}:
        for one in node.args:
            yield from _terms(one)
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"beyond", "DefaultTimeout"}:
        return
    else:
        yield node


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value != 0


def unexplained(source: str) -> list[str]:
    """Return the literal seconds of a module on whose line, or the one above, nothing says where they come from."""
    lines = source.splitlines()
    return [
        f"{line}: {text}"
        for line, text in literals(ast.parse(source))
        if not any(EXPLAINED in lines[place] for place in (line - 1, line - 2) if place >= 0)
    ]


def constants(source: str) -> list[str]:
    """Return the constants of a module that are seconds and over which no comment stands."""
    lines = source.splitlines()
    return [
        f"{node.lineno}: {lines[node.lineno - 1]}"
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id.endswith(("_S", "_MS")) for name in node.targets)
        and not lines[node.lineno - 2].startswith("#:")
    ]


@pytest.mark.parametrize("path", LOOKED_AT, ids=lambda path: path.stem)
def test_literal_seconds_have_a_source(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    assert unexplained(source) == []
    assert constants(source) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("await run.terminal(5)", ["1: 5"]),
        ("await run.terminal(limits['run_s'] + 5)", ["1: limits['run_s'] + 5"]),
        ("await asyncio.sleep(min(limits['idle_s'], 2))", ["1: min(limits['idle_s'], 2)"]),
        ("await client.message(wanted, 'x', seconds=3)", ["1: 3"]),
        ("await run.terminal(limits['run_s'] * 2)", []),
        ("await run.terminal(beyond(limits['run_s'] + 1))", []),
        ("await asyncio.sleep(2)  # less than [RUN-33] grants", []),
        ("await client.message(lambda m: m.get('x') == 3, 'x')", []),
    ],
)
def test_the_lint_finds_what_it_looks_for(source: str, found: list[str]) -> None:
    assert (
        unexplained(f"\nasync def case():\n    {source}"[1:].replace("async def case():\n    ", "")) == found
    )


def test_the_lint_wants_constants_to_be_explained() -> None:
    assert constants("\nWAIT_S = 3") == ["2: WAIT_S = 3"]
    assert constants("#: Why.\nWAIT_S = 3") == []
