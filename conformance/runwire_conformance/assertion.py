"""A case's failed assertion in words: what was expected and what came."""

import ast
import json
import linecache
from pathlib import Path
from types import FrameType
from typing import Any

from runwire_conformance.case import Broken

CASES = Path(__file__).parent / "cases"

#: Characters of a value that are shown.
MOST_SHOWN = 200


def in_words(problem: BaseException) -> str:
    """Return what a failed case expected and what came.

    Broken says it itself; for an `assert` it is told from the statement and the values of its names.
    """
    said = str(problem).strip() or type(problem).__name__
    if isinstance(problem, Broken):
        return said
    place = _place(problem)
    statement = _statement(*place) if place is not None else None
    if place is None or statement is None:
        return said
    expected = _source(statement.test)
    came = _came(statement, said, place[0])
    return f"expected {expected}; came {came}" if came else f"expected {expected}"


def _place(problem: BaseException) -> tuple[FrameType, int] | None:
    """Return the innermost frame of a case, and the line it stopped at."""
    found, step = None, problem.__traceback__
    while step is not None:
        if CASES in Path(step.tb_frame.f_code.co_filename).parents:
            found = (step.tb_frame, step.tb_lineno)
        step = step.tb_next
    return found


def _statement(frame: FrameType, line: int) -> ast.Assert | None:
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename)))
    except (SyntaxError, SystemError):
        # Python 3.11 can fail to parse good source when it collects garbage meanwhile; the assertion's own words do.
        return None
    spanning = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return spanning[0] if spanning else None


def _source(test: ast.expr) -> str:
    return ast.unparse(test).replace("await ", "")


def _came(statement: ast.Assert, said: str, frame: FrameType) -> str:
    if statement.msg is not None:
        return said.partition("\nassert")[0].removeprefix("came ")
    test, first = statement.test, said.partition("\n")[0].removeprefix("assert ")
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq) and first.count(" == ") == 1:
        return first.partition(" == ")[0]
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    values = {name: frame.f_locals[name] for name in sorted(names) if name in frame.f_locals}
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items() if _is_plain(value))


def _is_plain(value: Any) -> bool:
    return isinstance(value, dict | list | tuple | set | frozenset | str | int | float | None)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"
