"""Display of a run, in a terminal or as plain text."""

import json
import re
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.style import Style
from rich.text import Text

from runwire_conformance.tools.terminal.following import Message
from runwire_conformance.trace.printing import printable

#: Characters of a tool's input or result that are shown.
MOST_SHOWN = 2000

DIM = Style(dim=True)


#: What may be the beginning of a command to a CI, whose rest the next token brings.
_BEGUN = re.compile(r"(?:(?<!\S):+|#+|##[a-z]{1,8})\Z")


def harmless(text: object) -> str:
    """Return a text of the server without what a terminal would obey (chapter 19), with its line breaks."""
    return printable(text, lines=True)


class Screen:
    """Shows a run with colours and boxes: answer, thinking, tools, questions, notes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kind = ""
        self._calls: dict[object, str] = {}

    def event(self, message: Message) -> None:
        """Show an event of the run."""
        kind = message["type"]
        if kind == "token":
            self._flow("answer", message.get("data"), Style())
        elif kind == "thinking":
            self._flow("thinking", message.get("content"), DIM)
        elif kind == "replace":
            self._rule("the answer is this instead")
            self._flow("answer", message.get("data"), Style())
        elif kind == "tool_call":
            name = harmless(message.get("name"))
            self._calls[message.get("call_id")] = name
            self._box(message.get("input"), f"⚙ {name}", "cyan")
        elif kind == "observation" and message.get("partial") is True:
            self._flow(f"result {message.get('call_id')}", message.get("content"), DIM)
        elif kind == "observation":
            failed = message.get("is_error") is True
            name = self._calls.get(message.get("call_id"), "")
            cut = " (cut)" if message.get("truncated") else ""
            self._box(
                message.get("content"), f"{'✗' if failed else '✓'} {name}{cut}", "red" if failed else "green"
            )
        elif kind == "input_request":
            self._ask(message)
        elif kind == "input_closed":
            self.note(f"question {message.get('request_id')} is {message.get('outcome')}")
        elif kind in {"done", "error"}:
            self._end(message)

    def control(self, message: Message) -> None:
        """Show a notice, or the refusal of an answer."""
        self.note(f"{message.get('code')}: {message.get('data')}")

    def note(self, text: str) -> None:
        """Say something about the connection."""
        self._fresh_line()
        self._console.print(Text(harmless(text), style="yellow"))

    def _flow(self, kind: str, text: object, style: Style) -> None:
        if kind != self._kind:
            self._fresh_line()
            self._kind = kind
        self._console.print(Text(harmless(text), style=style), end="", soft_wrap=True)

    def _fresh_line(self) -> None:
        if self._kind:
            self._console.print()
            self._kind = ""

    def _rule(self, title: str) -> None:
        self._fresh_line()
        self._console.rule(title, style="dim", align="left")

    def _box(self, content: Any, title: str, colour: str) -> None:
        self._fresh_line()
        self._console.print(
            Panel(
                Text(value_text(content)), title=Text(title.strip()), title_align="left", border_style=colour
            )
        )

    def _ask(self, message: Message) -> None:
        self._fresh_line()
        how = {"approval": "y or n", "question": "a line", "form": "JSON, as in the schema"}
        asked = Text(harmless(message.get("data") or "The agent asks for your input."), style="bold")
        if message.get("kind") == "form":
            asked.append(f"\n{value_text(message.get('schema'))}", style="not bold dim")
        title = f"? {message.get('kind')} (answer with {how.get(str(message.get('kind')), 'JSON')})"
        self._console.print(Panel(asked, title=title, title_align="left", border_style="magenta"))

    def _end(self, message: Message) -> None:
        self._fresh_line()
        self._console.print(
            Text(harmless(ending(message)), style="red" if message["type"] == "error" else "dim")
        )


class Plain:
    """Writes the answer to one stream and everything else, a line each, to another."""

    def __init__(self, out: Any, aside: Any) -> None:
        self._out = out
        self._aside = aside
        self._in_line = False
        #: What is held back until it is known what it is the beginning of, and whether a word goes on.
        self._held = ""
        self._in_word = False

    def event(self, message: Message) -> None:
        """Show an event of the run."""
        match message["type"]:
            case "token":
                self._write(message.get("data"))
            case "replace":
                self._line_end()
                self.note("the answer is this instead")
                self._write(message.get("data"))
            case "thinking":
                self.note(f"thinking: {message.get('content')}")
            case "tool_call":
                self.note(f"tool {message.get('name')}: {value_text(message.get('input'))}")
            case "observation":
                self.note(f"result: {value_text(message.get('content'))}")
            case "input_request":
                self.note(f"question ({message.get('kind')}): {message.get('data')}")
            case "input_closed":
                self.note(f"question {message.get('request_id')} is {message.get('outcome')}")
            case "done" | "error":
                self._line_end()
                self.note(ending(message))

    def control(self, message: Message) -> None:
        """Write a notice, or the refusal of an answer."""
        self.note(f"{message.get('code')}: {message.get('data')}")

    def note(self, text: str) -> None:
        """Write a line aside."""
        print(harmless(text), file=self._aside, flush=True)

    def _write(self, text: object) -> None:
        before = "x" if self._in_word else ""
        whole = f"{before}{self._held}{text}"
        begun = _BEGUN.search(whole)
        self._held = begun[0] if begun else ""
        self._put(harmless(whole[: len(whole) - len(self._held)])[len(before) :])

    def _put(self, written: str) -> None:
        if written:
            self._in_line, self._in_word = not written.endswith("\n"), not written[-1].isspace()
        print(written, end="", file=self._out, flush=True)

    def _line_end(self) -> None:
        held, self._held = self._held, ""
        self._put(held)
        if self._in_line:
            print(file=self._out, flush=True)
        self._in_line = self._in_word = False


def value_text(value: Any) -> str:
    """Return a JSON value as text for a person, a long one cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    text = harmless(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} … ({len(text)} characters)"


def ending(message: Message) -> str:
    """Return how a run ended, in a line."""
    if message["type"] == "error":
        again = "; a retry may help" if message.get("retryable") is True else ""
        return f"failed: {message.get('data')} ({message.get('code', 'internal')}{again})"
    status = message.get("status", "completed")
    reason = f" ({message['reason']})" if "reason" in message else ""
    usage = message.get("usage")
    spent = (
        f" · {', '.join(f'{key} {value}' for key, value in usage.items())}" if isinstance(usage, dict) else ""
    )
    return f"{status}{reason}{spent}"
