"""Draws pictures from text as SVG in the page's colours: sequences, states, a span of time, a log and its readers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: Pixels that a letter of the pictures' font takes at most.
LETTER = 7.3
WIDTH = 720
#: The width of a picture that a phone shows whole.
NARROW = 376
#: Letters of an arrow's label; what is longer ends in an ellipsis, as the text beside has it whole.
LONGEST = 84

_ARROW = re.compile(r"[→←]")
_ITEM = re.compile(r"^\d+\. (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a sequence: `to` is `server`, `client`, or None for what happens beside the wire."""

    to: str | None
    text: str


def picture(parts: Sequence[str], width: int, height: int, title: str) -> str:
    """Return a figure of one line, as Markdown leaves a block of HTML without blank lines alone."""
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
    kind = "picture narrow" if width <= NARROW else "picture"
    return f'<figure class="{kind}" tabindex="0">{head}{"".join(parts)}</svg></figure>'


def text(x: float, y: float, said: str, anchor: str = "middle", kind: str = "") -> str:
    """Return a line of text."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    """Return a line."""
    style = f' class="{kind}"' if kind else ""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{style}/>'


def tip(x: float, y: float, direction: int) -> str:
    """Return the point of an arrow that leads right (1) or left (-1)."""
    back = x - 9 * direction
    return f'<path d="M{x:g},{y:g} L{back:g},{y - 5:g} L{back:g},{y + 5:g} Z" class="tip"/>'


def steps_of(scenario: str) -> list[Step]:
    """Return the rows of a numbered list whose items say with → and ← what goes to the server and to the client."""
    found = []
    for item in _ITEM.findall(scenario):
        marks = list(_ARROW.finditer(item))
        if not marks:
            found.append(Step(None, plain(item)))
            continue
        who = plain(item[: marks[0].start()])
        for mark, following in zip(marks, [*marks[1:], None], strict=True):
            said = plain(item[mark.end() : following.start() if following else len(item)])
            found.append(Step("server" if mark[0] == "→" else "client", f"{who}: {said}" if who else said))
            who = ""
    return found


def plain(markdown: str) -> str:
    """Return text without Markdown's marks and without what joins it to the next."""
    return markdown.replace("`", "").replace("**", "").strip(" ;,。；，:：")


def letters(said: str) -> int:
    """Return how many letters wide a text is: one of Chinese is as wide as two."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in said)


def shortened(said: str) -> str:
    """Return what fits on an arrow."""
    if letters(said) <= LONGEST:
        return said
    while letters(said) >= LONGEST:
        said = said[:-1]
    return said + "…"


def sequence(steps: Sequence[Step], title: str, names: tuple[str, str] = ("client", "server")) -> str:
    """Return two lines of life with an arrow for each message."""
    left, right, row = 40, WIDTH - 40, 34
    height = 44 + row * len(steps) + 14
    parts = [text(left, 18, names[0], "start", "name"), text(right, 18, names[1], "end", "name")]
    parts += [line(x, 26, x, height - 6, "life") for x in (left, right)]
    for number, step in enumerate(steps):
        y = 60 + row * number
        said = shortened(step.text)
        if step.to is None:
            half = min(letters(said) * LETTER / 2 + 12, (right - left) / 2 - 4)
            left_edge = WIDTH / 2 - half
            box = (
                f'<rect x="{left_edge:g}" y="{y - 18}" width="{2 * half:g}" height="24" rx="4" class="note"/>'
            )
            parts += [box, text(WIDTH / 2, y - 2, said, kind="aside")]
            continue
        onwards = step.to == "server"
        parts += [text(WIDTH / 2, y - 6, said), line(left, y, right, y, "arrow")]
        parts.append(tip(right, y, 1) if onwards else tip(left, y, -1))
    return picture(parts, WIDTH, height, title)


def with_sequences(markdown: str, heading: str, names: tuple[str, str] = ("client", "server")) -> str:
    """Return a page with a picture before each scenario below the second heading of that name."""
    before, mark, rest = markdown.partition(f"## {heading}\n")
    scenarios, nextmark, after = rest.partition("\n## ")
    found = re.split(r"^(### .+)$", scenarios, flags=re.MULTILINE)
    drawn = found[:1]
    for title, scenario in zip(found[1::2], found[2::2], strict=True):
        drawn += [
            title,
            "\n\n",
            sequence(steps_of(scenario), title.removeprefix("### "), names),
            "\n",
            scenario,
        ]
    return before + mark + "".join(drawn) + nextmark + after


def states(leads: Mapping[str, Sequence[str]], title: str) -> str:
    """Return the states of a run: those that lead on in a row, the ends below, as the table says."""
    above = [name for name, targets in leads.items() if targets]
    below = [name for name, targets in leads.items() if not targets]
    places = {name: (WIDTH * (i + 0.5) / len(above), 50.0) for i, name in enumerate(above)}
    places |= {name: (WIDTH * (i + 0.5) / len(below), 220.0) for i, name in enumerate(below)}
    parts = []
    for name, targets in leads.items():
        for target in targets:
            (x1, y1), (x2, y2) = places[name], places[target]
            if y1 == y2:
                way = 1 if x2 > x1 else -1
                y = y1 - 7 * way
                parts += [line(x1 + 56 * way, y, x2 - 58 * way, y, "arrow"), tip(x2 - 57 * way, y, way)]
            else:
                parts.append(line(x1, y1 + 19, x2, y2 - 19, "arrow"))
                parts.append(f'<circle cx="{x2:g}" cy="{y2 - 20:g}" r="4" class="tip"/>')
    for name, (x, y) in places.items():
        kind = "state" if name in above else "state end"
        parts.append(f'<rect x="{x - 55:g}" y="{y - 18:g}" width="110" height="36" rx="8" class="{kind}"/>')
        parts.append(text(x, y + 5, name))
    return picture(parts, WIDTH, 256, title)


def span(marks: Sequence[str], between: Sequence[str], title: str) -> str:
    """Return a line of time that leads down: `marks` on it, and what may happen after each of them."""
    x, row = 14, 60
    end = 16 + row * len(marks)
    parts = [
        line(x, 20, x, end - 9, "arrow"),
        f'<path d="M{x},{end} L{x - 5},{end - 9} L{x + 5},{end - 9} Z" class="tip"/>',
    ]
    for number, (mark, said) in enumerate(zip(marks, between, strict=True)):
        y = 20 + row * number
        parts += [line(x - 8, y, x + 8, y), text(x + 18, y + 4, mark, "start", "name")]
        parts.append(text(x + 18, y + 34, said, "start"))
    return picture(parts, NARROW, end + 8, title)


def log_with_readers(
    readers: Sequence[tuple[str, int]], events: int, title: str, news: str = "append"
) -> str:
    """Return a log of so many events and readers, each with the number of the last event that it has."""
    left, size = 6, 23
    height = 66 + 36 * len(readers)
    parts, names = [], []
    for seq in range(1, events + 1):
        x = left + size * (seq - 1)
        parts.append(f'<rect x="{x}" y="20" width="{size - 4}" height="30" rx="4" class="event"/>')
        parts.append(text(x + (size - 4) / 2, 39, str(seq)))
    end = left + size * events
    parts += [
        line(end + 34, 35, end + 8, 35, "arrow"),
        tip(end + 4, 35, -1),
        text(end + 40, 39, news, "start"),
    ]
    for number, (name, cursor) in enumerate(readers):
        x, y, said = left + size * cursor - 2, 80 + 36 * number, f"{name}: after {cursor}"
        parts += [line(x, 54, x, y - 4, "cursor"), f'<circle cx="{x}" cy="{y}" r="5" class="tip"/>']
        fits = x + 12 + letters(said) * LETTER <= NARROW
        names.append(text(x + 12 if fits else x - 12, y + 4, said, "start" if fits else "end", "before"))
    return picture([*parts, *names], NARROW, height, title)


def moving(rows: Sequence[tuple[str, str]], title: str, seconds: int = 14) -> str:
    """Return a conversation that lights up row by row and begins again; it stands still where motion is unwanted."""
    height, parts, rules = 26 * len(rows) + 20, [], []
    for number, (arrow, said) in enumerate(rows):
        begin = 80 * number / len(rows)
        rules.append(
            f"@keyframes row{number}{{0%,{begin:.1f}%,100%{{opacity:.3}}{begin + 1:.1f}%,97%{{opacity:1}}}}"
        )
        rules.append(f".row{number}{{animation:row{number} {seconds}s infinite}}")
        kind = f"row{number}{' name' if arrow == '→' else ''}"
        parts.append(text(20, 28 + 26 * number, f"{arrow} {said}", "start", kind))
    rules.append("@media (prefers-reduced-motion: reduce){.picture text{animation:none}}")
    return picture([f"<style>{''.join(rules)}</style>", *parts], WIDTH, height, title)
