"""Publishes what `make proof` found: which flaws the judge blames, and that it accuses no good server."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from runwire_spec import catalogue

DATA = Path(__file__).parent / "proof.json"
CLIENTS = Path(__file__).parent / "proof_clients.json"

INTRODUCTION = """# The judge proven

A judge is trusted for two numbers: the share of broken servers that it catches, and the number of good servers that
it accuses. `make proof` measures both:

- It puts one flaw at a time on the wire between the judge and a good server, and expects the judge to name the
  requirement that the flaw breaks.
- It has the judge try good servers with the whole suite: unchanged, with changes that the specification permits, with
  every core of the machine kept busy, at default and extreme limits, and behind proxies. None may be accused.

`make proof-good` judges each good server once, and guards every change of this repository; `make proof-quick` also
tries every flaw once.

"""

#: What stands for the numbers on another page.
NUMBERS = "<<< proof numbers"

#: What the numbers say, in English and in Chinese.
SAID = (
    "- **{broken} of {observable}** observable requirements of servers were seen broken and blamed",
    "- **{blamed} of {flaws}** flaws were blamed",
    "- **{wrongly}** false accusations in **{runs}** runs of {servers} good servers",
)
SAID_ZH = (
    "- 对服务器的可观察要求 **{observable}** 条，其中 **{broken}** 条曾被打破并被指出",
    "- 缺陷 **{flaws}** 个，其中 **{blamed}** 个被指出",
    "- {servers} 台好服务器的 **{runs}** 次运行里，冤枉了 **{wrongly}** 次",
)

#: Of how many cases a row names, as some flaws make dozens fail.
MOST_CASES = 3


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    proof = json.loads(DATA.read_text(encoding="utf-8"))
    files.append(File.generated(config, "proof.md", content=page(proof)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put the numbers where a page asks for them."""
    if NUMBERS not in markdown:
        return markdown
    said = SAID_ZH if page.file.src_uri.startswith("zh/") else SAID
    return markdown.replace(NUMBERS, "\n".join(numbers(json.loads(DATA.read_text(encoding="utf-8")), said)))


def numbers(proof: dict[str, Any], said: Sequence[str] = SAID) -> list[str]:
    """Return what `make proof` measured, as a list in Markdown."""
    flaws, servers = proof["flaws"], proof["good_servers"]
    broken = {flaw["requirement"] for flaw in flaws if flaw["outcome"] == "blamed"}
    blamed = sum(flaw["outcome"] == "blamed" for flaw in flaws)
    runs, wrongly = sum(one["runs"] for one in servers), sum(one["accusations"] for one in servers)
    found = {
        "broken": len(broken),
        "observable": proof["observable"],
        "blamed": blamed,
        "flaws": len(flaws),
        "wrongly": wrongly,
        "runs": runs,
        "servers": len({one["server"] for one in servers}),
    }
    return [line.format(**found) for line in said]


def page(proof: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    flaws, servers = proof["flaws"], proof["good_servers"]
    place = {identifier: number for number, identifier in enumerate(catalogue())}
    flaws.sort(key=lambda flaw: place[flaw["requirement"]])
    lines = [
        INTRODUCTION,
        *numbers(proof),
        "",
        *_good_servers(servers),
        *_conditions(proof.get("conditions", [])),
        "## Flaws",
        "",
        "A flaw that acts at random is tried several times; it counts as blamed when 99 of 100 tries show it.",
        "",
    ]
    for title, chapter in groupby(flaws, lambda flaw: catalogue()[flaw["requirement"]].chapter_title):
        lines += [
            f"### {title}",
            "",
            "| requirement | what the server does | blamed by | runs |",
            "|---|---|---|---|",
        ]
        lines += [_flaw(flaw) for flaw in chapter] + [""]
    return "\n".join([*lines, *clients(json.loads(CLIENTS.read_text(encoding="utf-8")))])


def clients(proof: dict[str, Any]) -> list[str]:
    """Return what was measured of the judge of clients."""
    flaws = proof["flaws"]
    blamed = [flaw for flaw in flaws if flaw["outcome"] == "blamed"]
    runs, busy, accused = 0, 0, 0
    for one in proof["good"] + proof["benign"]:
        runs += one["runs"]
        busy += one.get("busy_runs", 0)
        accused += sum(one["accused"].values()) if isinstance(one["accused"], dict) else len(one["accused"])
    place = {identifier: number for number, identifier in enumerate(catalogue())}
    lines = [
        "## Clients",
        "",
        "The judge of clients is proved in the same way: flawed clients, each of them a careful one with one behaviour",
        "replaced, judged by the scenarios of the requirement that they break.",
        "",
        f"- **{len({flaw['requirement'] for flaw in blamed})} of {proof['observable']}** observable requirements of",
        "  clients were seen broken and blamed",
        f"- **{len(blamed)} of {len(flaws)}** flaws were blamed",
        f"- **{accused}** false accusations in **{runs}** runs of good and of benign clients, **{busy}** of them with",
        "  every core kept busy",
        "",
        "| client | how it is judged | runs | of them busy | longest run | accused of | not exercised |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in proof["good"]:
        longest = max(one.get("seconds", 0), one.get("busy_seconds", 0))
        how = f"{one['runs']} | {one.get('busy_runs', 0)} | {longest:.0f} s"
        seen = f"{how} | {_ids(one['accused'])} | {_ids(one['not_exercised'])}"
        lines.append(f"| {one['client']} | {one['description']} | {seen} |")
    lines += [
        f"| benign | {one['client']} | {one['runs']} | | | {_ids(one['accused'])} | |"
        for one in proof["benign"]
    ]
    lines += [
        "",
        "Two popular libraries, used as their documentation says, show what such a client cannot do:",
        "",
    ]
    lines += [f"- {one['description']}: {_ids(one['accused'])}" for one in proof["libraries"]]
    lines += [
        "",
        "| requirement | what the client does | blamed by | what the judge says |",
        "|---|---|---|---|",
    ]
    for flaw in sorted(flaws, key=lambda flaw: (place[flaw["requirement"]], flaw["flaw"])):
        by = (
            f"{flaw['scenario'].replace('_', ' ')}"
            if flaw["outcome"] == "blamed"
            else f"**{flaw['outcome']}**"
        )
        reason = flaw["reason"].replace("|", "\\|")
        lines.append(f"| [{flaw['requirement']}] | {flaw['flaw'].replace('_', ' ')} | {by} | {reason} |")
    return [*lines, ""]


def _ids(names: Any) -> str:
    return ", ".join(f"[{name}]" for name in names) or "nothing"


def _good_servers(servers: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Good servers",
        "",
        "*reference* is `runwire-server`, *smallest* the server of the [tutorial](tutorial.md); *fastapi*, *node* and",
        "*go* were written for this proof, in Python, JavaScript and Go.",
        "",
        "| server | how it is met | runs | accusations |",
        "|---|---|---|---|",
    ]
    for one in servers:
        busy = " Every core is kept busy." if one["busy"] else ""
        lines.append(
            f"| {one['server']} | {one['description']}{busy} | {one['runs']} | {one['accusations']} |"
        )
    return [*lines, ""]


def _conditions(judged: list[dict[str, Any]]) -> list[str]:
    """Return the tables of runs under conditions: each condition, and each server under it."""
    if not judged:
        return []
    lines = [
        "## Conditions",
        "",
        "A verdict is to be the same on any machine, at any limits, behind any proxy. Each run meets a server that",
        "was just started. *Accused* counts the runs in which anything of the good server was accused, *not judged*",
        "those in which the judge left anything out for reasons of its own; *passed* is the number of requirements",
        "that passed in the run in which the fewest did.",
        "",
    ]
    for _, group in groupby(sorted(judged, key=_condition), key=_condition):
        servers = list(group)
        lines += [
            f"**{servers[0]['description']}**",
            "",
            "| server | runs | accused | not judged | passed | longest run |",
            "|---|---|---|---|---|---|",
        ]
        for one in servers:
            numbers = f"{one['runs']} | {one['accused']} | {one['not_judged']} | {one['passed']}"
            lines.append(f"| {one['server']} | {numbers} | {one['seconds']:.0f} s |")
        lines.append("")
    return lines


def _condition(one: dict[str, Any]) -> str:
    return str(one["condition"])


def _flaw(flaw: dict[str, Any]) -> str:
    more = len(flaw["cases"]) - MOST_CASES
    named = [case.replace("_", " ").replace("::", ": ") for case in flaw["cases"][:MOST_CASES]]
    cases = "; ".join(named + [f"and {more} more"] * (more > 0))
    by = cases if flaw["outcome"] == "blamed" else f"**{flaw['outcome']}**"
    text = flaw["description"].replace("|", "\\|")
    clause = f": {flaw['clause']}" if flaw.get("clause") else ""
    return (
        f"| [{flaw['requirement']}]{clause} | {text} | {by} | {flaw['blamed']}&nbsp;of&nbsp;{flaw['runs']} |"
    )
