"""Small, harmless tools for demos with tool-calling models."""

import ast
import datetime
import operator
import zoneinfo
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from runwire_reference_server.agents.demo import GLOSSARY

MAX_EXPRESSION = 200


class ToolError(Exception):
    """The tool cannot do what it was asked; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function a model can call: how it is described to the model, and what is called.

    `parameters` is the JSON Schema of the arguments. `call` takes the arguments and returns any JSON value; what it
    raises becomes an observation with `is_error` ([EVENT-15]).
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Awaitable[Any]]


async def _current_time(arguments: Mapping[str, Any]) -> Any:
    name = arguments.get("zone", "UTC")
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (ValueError, TypeError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ToolError("no such time zone; use a name such as Europe/Paris") from None
    return datetime.datetime.now(zone).isoformat(timespec="seconds")


_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.UAdd: operator.pos,
        ast.USub: operator.neg,
    }
)


async def _calculate(arguments: Mapping[str, Any]) -> Any:
    expression = arguments.get("expression")
    if not isinstance(expression, str) or len(expression) > MAX_EXPRESSION:
        raise ToolError(f"expression must be a string of at most {MAX_EXPRESSION} characters")
    try:
        return _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError):
        raise ToolError("only numbers, + - * / // % and brackets are understood") from None
    except ArithmeticError as problem:
        raise ToolError(str(problem)) from None


def _value(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(operand))
    raise ValueError


async def _search_glossary(arguments: Mapping[str, Any]) -> Any:
    word = str(arguments.get("word", "")).lower()
    return {"found": {name: text for name, text in GLOSSARY.items() if name in word}}


def _schema(name: str, text: str, *, required: bool) -> Mapping[str, Any]:
    properties = {name: {"type": "string", "description": text}}
    return {"type": "object", "properties": properties, "required": [name] if required else []}


DEMO_TOOLS = (
    Tool(
        "current_time",
        "Tell date and time.",
        _schema("zone", "time zone, such as Europe/Paris; UTC when left out", required=False),
        _current_time,
    ),
    Tool(
        "calculate",
        "Work out an arithmetic expression.",
        _schema("expression", "for example (2 + 3) * 4", required=True),
        _calculate,
    ),
    Tool(
        "search_glossary",
        "Look up what a word means in the Runwire protocol.",
        _schema("word", "for example: token", required=True),
        _search_glossary,
    ),
)
