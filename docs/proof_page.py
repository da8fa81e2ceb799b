"""Publishes what `make proof` found: which flaws the judge blames, and that it accuses no good server."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from runwire_spec import catalogue

DATA = Path(__file__).parent / "proof.json"

INTRODUCTION = """# The judge proven

A judge is trusted for two numbers: the share of broken servers that it catches, and the number of good servers that
it accuses. `make proof` measures both. It puts one flaw at a time on the wire before a good server and asks the judge
for the requirement that the flaw breaks; and it has the judge try good servers with the whole suite, as they are, with
changes that nobody may mind, and with every core of the machine kept busy by something else. `make proof-quick` tries
every flaw and every good server once, and guards every change of this repository.
"""

#: Of how many cases a row names, as some flaws make dozens fail.
MOST_CASES = 3


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    proof = json.loads(DATA.read_text(encoding="utf-8"))
    files.append(File.generated(config, "proof.md", content=page(proof)))
    return files


def page(proof: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    flaws, servers = proof["flaws"], proof["good_servers"]
    broken = {flaw["requirement"] for flaw in flaws if flaw["outcome"] == "blamed"}
    blamed = sum(flaw["outcome"] == "blamed" for flaw in flaws)
    runs, wrongly = sum(one["runs"] for one in servers), sum(one["accusations"] for one in servers)
    judged = len({one["server"] for one in servers})
    place = {identifier: number for number, identifier in enumerate(catalogue())}
    flaws.sort(key=lambda flaw: place[flaw["requirement"]])
    lines = [
        INTRODUCTION,
        f"- **{len(broken)} of {proof['observable']}** observable requirements were seen broken and blamed",
        f"- **{blamed} of {len(flaws)}** flaws were blamed",
        f"- **{wrongly}** false accusations in **{runs}** runs of {judged} good servers",
        "",
        *_good_servers(servers),
        "## Flaws",
        "",
        "A flaw that acts at random is tried several times and counts as blamed when it is in at least 99 of 100.",
        "",
    ]
    for title, chapter in groupby(flaws, lambda flaw: catalogue()[flaw["requirement"]].chapter_title):
        lines += [
            f"### {title}",
            "",
            "| requirement | what the server does | blamed by | |",
            "|---|---|---|---|",
        ]
        lines += [_flaw(flaw) for flaw in chapter] + [""]
    return "\n".join(lines)


def _good_servers(servers: list[dict[str, Any]]) -> list[str]:
    lines = ["## Good servers", "", "| server | how it is met | runs | accusations |", "|---|---|---|---|"]
    for one in servers:
        busy = " Every core is kept busy." if one["busy"] else ""
        lines.append(
            f"| {one['server']} | {one['description']}{busy} | {one['runs']} | {one['accusations']} |"
        )
    return [*lines, ""]


def _flaw(flaw: dict[str, Any]) -> str:
    more = len(flaw["cases"]) - MOST_CASES
    named = [case.replace("_", " ").replace("::", ": ") for case in flaw["cases"][:MOST_CASES]]
    cases = "; ".join(named + [f"and {more} more"] * (more > 0))
    by = cases if flaw["outcome"] == "blamed" else f"**{flaw['outcome']}**"
    text = flaw["description"].replace("|", "\\|")
    return f"| [{flaw['requirement']}] | {text} | {by} | {flaw['blamed']} of {flaw['runs']} |"
