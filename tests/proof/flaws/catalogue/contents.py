"""Flaws of chapters 3 to 9: contents that are mangled on the way."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from tests.proof.flaws.flaw import answers, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Message, Rewrite, is_event, refusal

from .http import body_of, is_status, with_members
from .numbers import map_scalars
from .runs import is_start

FREE = {"tool_call": "input", "observation": "content"}


def _texts(
    name: str, requirement: str, change: Callable[[str], str], description: str, *, on: Callable[[Link], bool]
) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            link.notes["resumed"] = True
        changed = {
            member: change(message[member])
            for member in ("data", "content")
            if is_event(message) and isinstance(message.get(member), str) and on(link)
        }
        yield (
            {**message, **changed}
            if any(message[member] != text for member, text in changed.items())
            else message
        )

    server_message.__name__, server_message.__doc__ = name, description
    says(requirement)(server_message)


def _socket(link: Link) -> bool:
    return not link.is_stream and not link.notes.get("resumed")


def _stream(link: Link) -> bool:
    return link.is_stream and not link.notes.get("resumed")


def _resumed(link: Link) -> bool:
    return not link.is_stream and bool(link.notes.get("resumed"))


_texts(
    "zero_bytes_lost",
    "SCRIPT-1",
    lambda text: text.replace("\0", "") or "-",
    "NUL is left out of texts.",
    on=_socket,
)
_texts(
    "letters_composed",
    "SCRIPT-1",
    lambda text: unicodedata.normalize("NFC", text),
    "Letters and their accents are composed.",
    on=_socket,
)
_texts(
    "whitespace_tokens_trimmed",
    "SCRIPT-1",
    lambda text: text.strip(" \t") or "-",
    "White text is trimmed.",
    on=_socket,
)
_texts(
    "line_ends_made_one",
    "SSE-5",
    lambda text: text.replace("\r\n", "\n").replace("\r", "\n"),
    "On streams every line end is a line feed.",
    on=_stream,
)
_texts("streams_escape_html", "SSE-5", html.escape, "On streams texts are escaped for HTML.", on=_stream)
_texts(
    "streams_swallow_done",
    "SSE-5",
    lambda text: text.replace("[DONE]", "").replace("<think>", "") or "-",
    "On streams marks of other protocols are taken out of texts.",
    on=_stream,
)
_texts(
    "joiners_lost_by_resuming",
    "RESUME-10",
    lambda text: text.replace("\u200d", "").replace("\u2060", "") or "-",
    "A log that is resumed has lost its joiners.",
    on=_resumed,
)


def _values(name: str, change: Callable[[Any], Any], description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        free = FREE.get(str(message.get("type")))
        if free is None or not is_event(message) or message.get("partial") or free not in message:
            yield message
            return
        changed = change(message[free])
        yield message if changed is message[free] else {**message, free: changed}

    server_message.__name__, server_message.__doc__ = name, description
    says("SCRIPT-12")(server_message)


def _without(value: Any, *names: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner, *names) for name, inner in value.items() if name not in names}
    return [_without(inner, *names) for inner in value] if isinstance(value, list) else value


_values(
    "empty_results_are_null",
    lambda value: value or None,
    "A result that is empty, zero or false is sent as null.",
)
_values("prototypes_lost", lambda value: _without(value, "__proto__"), "Members called __proto__ are lost.")
_values("empty_names_lost", lambda value: _without(value, ""), "Members with an empty name are lost.")
_values(
    "booleans_are_numbers",
    lambda value: map_scalars(value, lambda inner: int(inner) if isinstance(inner, bool) else inner),
    "Booleans of tools are sent as 0 and 1.",
)


@answers("HTTP-5")
def status_text_is_trimmed(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The text of the status is trimmed."""
    body = body_of(response) if is_status(request) and response.status == 200 else None
    return (
        with_members(response, text=body["text"].strip())
        if body and body["text"] != body["text"].strip()
        else response
    )


@hears("MSG-22")
def members_of_builtins_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A message with a member that is called like a built-in one is refused."""
    odd = message.keys() & {"__proto__", "constructor", "toString"}
    yield Answer(refusal("bad_request", message)) if odd else message


@hears("MSG-24")
def types_of_builtins_are_bad(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A type that is called like a built-in member is a bad request."""
    odd = message.get("type") in {"__proto__", "constructor", "toString"}
    yield Answer(refusal("bad_request", message)) if odd else message


@hears("RUN-2")
def empty_prompts_refused(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """An empty prompt is refused."""
    empty = is_start(message) and message.get("prompt") == ""
    yield Answer(refusal("bad_request", message)) if empty else message
