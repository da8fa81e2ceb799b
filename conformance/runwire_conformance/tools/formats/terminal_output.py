"""Import of terminal output: event streams printed by `curl -N`, and lines of wscat and similar tools.

None of these has times that can be trusted, so nothing is said of time.
"""

import re
from collections.abc import Iterator, Sequence

from runwire_conformance.client.wire.sse import BlockParser
from runwire_conformance.tools.formats.recognition import is_turned_round
from runwire_conformance.tools.formats.recording import Recorded, Recording, Unreadable
from runwire_conformance.trace.message import parsed
from runwire_conformance.trace.trace import Record, Side, Trace

#: Colours and movements of the cursor, which a program writes into a terminal and `script` into a file.
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")

_STATUS = re.compile(r"HTTP/[0-9.]+ +([0-9]{3})\b")
_FIELD = re.compile(r"(?:data|id|event|retry)(?::|$)|:")
_DATA = re.compile(r"data: ?\{")

#: What curl itself says, with `-v` or beside a meter of its progress: no bytes of the stream.
_OF_CURL = re.compile(r"curl: \([0-9]+\)|[*{}] |[ \t]*%|[ \t]*[0-9]+ .*[-0-9]+:[-0-9]+:[-0-9]+")

_STAMP = r"(?:[\[(]?(?:[A-Z][a-z]{2} )?[0-9][0-9TZ:.,+/ -]*[\])]?:?\s*)?"
_SAID = re.compile(
    rf"\s*{_STAMP}(?P<arrow><-{{1,2}}|<{{1,3}}|←|-{{1,2}}>|>{{1,3}}|→)\s*{_STAMP}(?P<text>\S.*|)"
)

#: What wscat, websocat and the command of Python's websockets say of the connection, and the prompt of a person.
_ASIDE = re.compile(
    r"(?:dis)?connected\b|connection (?:closed|failed)|error: |\[(?:INFO|WARN|ERROR|DEBUG|TRACE)\b|websocat: "
    r"|received (?:ping|pong)\b|[$%#]\s",
    re.IGNORECASE,
)

SIDES: dict[str, Side] = {"<": "server", "←": "server", ">": "client", "→": "client"}


def plain(text: str) -> str:
    """Return a text without what only a terminal understands."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def is_aside(line: str) -> bool:
    """Whether a line is what a program says of a connection, and nothing that was said on it."""
    return _ASIDE.match(line.strip()) is not None


def is_stream(lines: Sequence[str]) -> bool:
    """Whether lines are what `curl -N` prints of an event stream."""
    begun = next((line for line in map(_of_verbose, lines) if line.strip() and not _OF_CURL.match(line)), "")
    return _STATUS.match(begun) is not None or any(map(_DATA.match, lines))


def is_talk(lines: Sequence[str]) -> bool:
    """Whether lines are what wscat prints: what was said, each with its direction."""
    return any((found := _SAID.match(line)) and parsed(found["text"]) is not None for line in lines)


def read_stream(name: str, lines: Sequence[str]) -> Recording:
    """Return the stream that `curl -N` printed, with `-i` or `-v` too; raises Unreadable when it is none."""
    title = ""
    told = [_of_verbose(line) for line in lines]
    for verbose in (line for line in lines if line.startswith("> ")):
        method, _, rest = verbose.removeprefix("> ").partition(" ")
        title = title or (f"{method} {rest.split()[0]}" if " HTTP/" in rest else "")
    begins, status = _body_of(told)
    if status not in {"", "200"}:
        raise Unreadable(f"{name}: the response is {status}, not an event stream")
    recorded = Recorded(Trace("sse", title, 0.0, not_reading=True, timed=False), dated=False)
    parser, first, remarks = BlockParser(), 0, []
    for number, line in enumerate(told[begins:], start=begins + 1):
        if _OF_CURL.match(line) and not _FIELD.match(line):
            continue
        first = first or (number if line else 0)
        try:
            blocks = parser.feed(f"{line}\n".encode("utf-8", "surrogateescape"))
        except UnicodeDecodeError:
            recorded.trace.whole = False
            remarks.append(f"{name}:{number}: not UTF-8; so the messages of the stream are judged separately")
            continue
        for block in blocks:
            shown = "\n".join(f"{field}: {value}" for field, value in block.fields)
            message = parsed(block.data) if block.data is not None else None
            recorded.add(f"{name}:{first}", Record(0.0, "server", "block", shown, message))
        first = 0 if not line else first
    opening = next(recorded.trace.messages("server"), None)
    if opening is None:
        raise Unreadable(f"{name}: an event stream in which no event holds a message")
    if opening.type not in {"started", "resumed"}:
        recorded.trace.whole = False
        said = (
            "begins in the middle of a run, without started or resumed, so its messages are judged separately"
        )
        remarks.append(f"{name}: {said}")
    recorded.trace.title = title or ("GET (resume)" if opening.type == "resumed" else "POST (start)")
    return Recording([recorded], remarks=remarks)


def _of_verbose(line: str) -> str:
    """Return a line of the response's head as it is without `curl -v`, which puts `< ` before it."""
    return line.removeprefix("< ") if _STATUS.match(line.removeprefix("< ")) else line


def _body_of(lines: Sequence[str]) -> tuple[int, str]:
    """Return where the body of the last response begins, and its status if the head is there."""
    begins, status = 0, ""
    for number, line in enumerate(lines):
        if number >= begins and (found := _STATUS.match(line)):
            status = found[1]
            begins = (
                next((at for at in range(number, len(lines)) if not lines[at].strip("<> \t")), len(lines)) + 1
            )
        elif number >= begins and _FIELD.match(line):
            return number, status
    return min(begins, len(lines)), status


def read_talk(name: str, lines: Sequence[str]) -> Recording:
    """Return the conversation that wscat printed; raises Unreadable when its directions are not understood."""
    trace = Trace("websocket", "websocket", 0.0, not_reading=True, timed=False)
    recorded, remarks = Recorded(trace, dated=False), []
    said = list(_said(lines))
    for count, (number, side, text) in enumerate(said):
        message = parsed(text)
        if message is None and count == len(said) - 1 and text.startswith("{"):
            remarks.append(f"{name}:{number}: truncated; the part before that is judged")
        elif side is None:
            trace.whole = False
            remarks.append(f"{name}:{number}: has no direction, so the others are judged separately")
        else:
            recorded.add(f"{name}:{number}", Record(0.0, side, "text", text, message))
    if is_turned_round(trace):
        raise Unreadable(
            f"{name}: > marks messages that only a server sends, and < does not; > has to mark sent messages"
        )
    return Recording([recorded], remarks=remarks)


def _said(lines: Sequence[str]) -> Iterator[tuple[int, Side | None, str]]:
    """Yield what was said: line, side, and text; a text goes on in lines without an arrow while it is no whole JSON."""
    held: tuple[int, Side | None, str] | None = None
    for number, line in enumerate(lines, start=1):
        if found := _SAID.match(line):
            if held is not None:
                yield held
            held = (
                (number, SIDES[found["arrow"].strip("-")[0]], found["text"].strip())
                if found["text"]
                else None
            )
            if held is not None and is_aside(held[2]):
                held = None
        elif held is not None and held[2].startswith("{") and parsed(held[2]) is None:
            held = (held[0], held[1], held[2] + line.strip("\r"))
        elif parsed(line) is not None:
            if held is not None:
                yield held
            held = (number, None, line)
    if held is not None:
        yield held
