"""Failed assertions in protocol terms: expected and actual."""

import ast
import json
import linecache
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from runwire_conformance import cases
from runwire_conformance.case import Broken

#: How the names of modules of cases begin.
CASES = f"{cases.__name__}."

#: Characters of a value that are shown.
MOST_SHOWN = 200

#: How a comparison is told, before the value that was compared with.
COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "",
    ast.Is: "",
    ast.NotEq: "other than ",
    ast.IsNot: "other than ",
    ast.In: "one of ",
    ast.NotIn: "none of ",
    ast.Lt: "less than ",
    ast.LtE: "at most ",
    ast.Gt: "more than ",
    ast.GtE: "at least ",
}

#: Attributes of what a case holds, by what they are called in the protocol.
CALLED = {"text": "answer text", "last_seq": "last seq", "close_code": "close code", "at": "time"}


class Unknown(Exception):
    """An expression has no name in the protocol, or no value that can be told again."""


def in_words(problem: BaseException) -> str:
    """Return what a failed case expected and what came.

    Broken says it itself; for an `assert` it is told from the statement and the values of its names.
    """
    said = str(problem).strip() or type(problem).__name__
    if isinstance(problem, Broken):
        return said
    frames = list(_frames(problem))
    statement = _statement(*frames[-1]) if frames else None
    if statement is None:
        return said.partition("\n")[0] if str(problem) or not frames else f"expected {_case_in_words(frames)}"
    if statement.msg is not None:
        words = said.partition("\nassert")[0]
        return words if not words.startswith("got ") else f"expected {_case_in_words(frames)}; {words}"
    return _in_protocol_terms(statement.test, frames)


def missing_in_words(problem: BaseException) -> str:
    """Return what a case missed in what came, which it could not go on without."""
    if isinstance(problem, KeyError):
        return f"the received value has no `{problem.args[0]}`"
    if isinstance(problem, IndexError):
        return "fewer items arrived than expected"
    return "the received value does not have the expected type"


def line_of(problem: BaseException) -> str:
    """Return file and line of the case at which it stopped, or an empty string."""
    frames = list(_frames(problem))
    return f"{Path(frames[-1][0].f_code.co_filename).name}:{frames[-1][1]}" if frames else ""


def _frames(problem: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of cases that a problem came through, each with the line it stopped at, outermost first."""
    step = problem.__traceback__
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__", "")).startswith(CASES):
            yield step.tb_frame, step.tb_lineno
        step = step.tb_next


def _statement(frame: FrameType, line: int) -> ast.Assert | None:
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals)))
    except (SyntaxError, SystemError):
        # Python 3.11 can fail to parse good source when it collects garbage meanwhile; the case's name does.
        return None
    spanning = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return spanning[0] if spanning else None


def _case_in_words(frames: list[tuple[FrameType, int]]) -> str:
    """Return the sentence that is a case's name."""
    return "that " + frames[0][0].f_code.co_name.replace("_", " ")


def _in_protocol_terms(test: ast.expr, frames: list[tuple[FrameType, int]]) -> str:
    frame = frames[-1][0]
    try:
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            expected, came = _compared(test, frame)
        else:
            wanted = test.operand if isinstance(test, ast.UnaryOp) else test
            expected = f"{'no ' if wanted is not test else ''}{_name(wanted)}"
            came = _shown(_value(wanted, frame)) if wanted is not test else f"no {_name(wanted)}"
    except Unknown:
        return f"expected {_case_in_words(frames)}{_actual_suffix(test, frame)}"
    return f"expected {expected}; got {came}"


def _compared(test: ast.Compare, frame: FrameType) -> tuple[str, str]:
    """Return what a comparison expected and what came, member by member where it compares several at once."""
    left, right, how = test.left, test.comparators[0], COMPARED[type(test.ops[0])]
    if isinstance(left, ast.Tuple) and isinstance(right, ast.Tuple) and len(left.elts) == len(right.elts):
        pairs = [
            (_name(one), _value(one, frame), _value(other, frame))
            for one, other in zip(left.elts, right.elts, strict=True)
        ]
        expected = ", ".join(_named_value(name, wanted) for name, _, wanted in pairs)
        return expected, ", ".join(_named_value(name, came) for name, came, _ in pairs)
    name, came, wanted = _name(left), _value(left, frame), _value(right, frame)
    if not how:
        return _named_value(name, wanted), _named_value(name, came)
    return name if wanted is None else f"{name} {how}{_value_list(wanted)}", _named_value(name, came)


def _named_value(name: str, value: Any) -> str:
    return f"no {name}" if value is None else f"{name} {_shown(value)}"


def _value_list(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return ", ".join(sorted("none at all" if one is None else _shown(one) for one in value))
    return _shown(value)


def _name(node: ast.expr) -> str:
    """Return what the protocol calls the value of an expression; raises Unknown."""
    if isinstance(node, ast.Await):
        return _name(node.value)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        if isinstance(node.slice.value, str):
            return f"`{node.slice.value}`"
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return CALLED.get(node.attr, node.attr.replace("_", " "))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        first = node.args[0]
        if node.func.attr in {"get", "header"} and isinstance(first, ast.Constant):
            of_header = node.func.attr == "header"
            called = str(first.value)
            name = "-".join(map(str.capitalize, called.split("-"))) if of_header else called
            return f"`{name}` header" if of_header else f"`{name}`"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id in {"isinstance", "sorted", "str"}:
            return _name(node.args[0])
        if node.func.id == "len":
            return f"number of {_name(node.args[0])}"
    if isinstance(node, ast.Name):
        return node.id.replace("_", " ")
    raise Unknown


def _value(node: ast.expr, frame: FrameType) -> Any:
    """Return the value of an expression where an assertion failed; raises Unknown when it cannot be had again."""
    if any(isinstance(part, ast.Await | ast.NamedExpr | ast.Lambda) for part in ast.walk(node)):
        raise Unknown
    try:
        code = compile(ast.Expression(node), frame.f_code.co_filename, "eval")
        value = eval(code, {**frame.f_globals, **frame.f_locals})
    except Exception as problem:
        raise Unknown from problem
    if not isinstance(value, dict | list | tuple | set | frozenset | str | bool | int | float | None):
        raise Unknown
    return value


def _actual_suffix(test: ast.expr, frame: FrameType) -> str:
    """Return what came and what it had to equal, as far as both can be told, or an empty string."""
    if not isinstance(test, ast.Compare):
        return ""
    told = ""
    with suppress(Unknown):
        if len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            told = f": {_shown(_value(test.comparators[0], frame))}"
    with suppress(Unknown):
        told += f"; got {_shown(_value(test.left, frame))}"
    return told


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        text = ", ".join(value)
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            text = repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"
