"""The plot of the documentation: what was found against each target, and what an event costs elsewhere."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.targets import TARGETS, Found

#: Pixels: of the plot, which a phone shows whole, of a bar below its name, and of a bar alone.
WIDTH, ROW, BAR = 460, 28, 8

#: Grey that is read on a light page and on a dark one; and the colours of what holds, what does not, what is compared.
INK, HOLDS, FAILS, OTHERS, OURS = "#7a7f87", "#2f9e62", "#d9534f", "#9aa4b2", "#3b7dd8"


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its name, the text beside it, and a colour."""

    name: str
    figure: float
    text: str
    colour: str


def write_plot(path: Path, found: Found) -> None:
    """Write the plot as SVG."""
    path.write_text(svg(found), encoding="utf-8")


def svg(found: Found) -> str:
    """Return the plot of what was measured; a load that was not played is left out."""
    top, parts = 0, []
    for title, bars, mark in (
        ("Found, divided by its target: at most 1 holds", against_targets(found), 1.0),
        ("CPU for an event, one reader, in microseconds", costs(found, "one reader"), None),
        ("CPU for an event, 100 runs at once, in microseconds", costs(found, "100 runs"), None),
    ):
        if bars:
            drawn, height = chart(title, bars, top, mark)
            parts.append(drawn)
            top += height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
    return f'{head}font-family="sans-serif" font-size="13">\n{"".join(parts)}</svg>\n'


def against_targets(found: Found) -> list[Bar]:
    """Return a bar for each target that was measured."""
    bars = []
    for target in TARGETS:
        name, figure, most, holds = target.row(found)
        if holds:
            colour = HOLDS if holds == "yes" else FAILS
            bars.append(
                Bar(re.sub(" `.*`", "", name), target.of(found) / target.most, f"{figure} of {most}", colour)
            )
    return bars


def costs(found: Found, load: str) -> list[Bar]:
    """Return a bar for each server that played a load."""
    return [
        Bar(name, figure, f"{figure:.3g}", OURS if name.startswith("runwire") else OTHERS)
        for name, figure in sorted(found.get(load, {}).items(), key=lambda item: item[1])
    ]


def chart(title: str, bars: Sequence[Bar], top: float, mark: float | None) -> tuple[str, int]:
    """Return bars on a logarithmic axis below a title, with a line at `mark`, and the height of it all."""
    figures = [bar.figure for bar in bars] + ([mark] if mark else [])
    low, high = math.log(min(figures) * 0.7), math.log(max(figures))

    def right(figure: float) -> float:
        return WIDTH * (math.log(figure) - low) / (high - low)

    parts = [f'<text x="0" y="{top + 18}" font-weight="bold" fill="{INK}">{escape(title)}</text>\n']
    for number, bar in enumerate(bars):
        y = top + 28 + number * ROW
        parts += [
            f'<text x="0" y="{y + 13}" fill="{INK}">{escape(bar.name)}</text>',
            f'<text x="{WIDTH}" y="{y + 13}" text-anchor="end" fill="{INK}">{escape(bar.text)}</text>',
            f'<rect x="0" y="{y + 17}" width="{right(bar.figure):.0f}" height="{BAR}" fill="{bar.colour}"/>',
        ]
        if mark:
            x = right(mark)
            parts.append(f'<path d="M{x:.0f},{y + 15} v{BAR + 4}" stroke="{INK}" stroke-width="2"/>')
        parts.append("\n")
    return "".join(parts), 28 + len(bars) * ROW + 20
