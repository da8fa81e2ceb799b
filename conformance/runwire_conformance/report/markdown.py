"""Markdown report, short enough for the summary of a CI step."""

from runwire_conformance.report.document import Document, guilty, left_out, to_configure
from runwire_conformance.report.words import SIGNS, conversation_text, headline
from runwire_conformance.trace.printing import code

#: How many broken requirements are told in full, and how many ids are named in a row.
MOST_TOLD = 20
MOST_NAMED = 8


def as_markdown(document: Document) -> str:
    """Return the report as Markdown."""
    parts = [
        f"# Runwire conformance: {headline(document)}",
        f"{code(document['server'])} at `{document['url']}`, judged in {document['seconds']:.1f} s"
        f" by runwire {document['judge']}; exit code {document['exit_code']}.",
        _classes(document),
    ]
    parts += [f"> {code(remark)}" for remark in document["remarks"]]
    if "repeats" in document:
        parts.append(_repeats(document["repeats"]))
    if "baseline" in document:
        parts.append(_baseline(document["baseline"]))
    broken = list(guilty(document))
    parts += [_broken(entry) for entry in broken[:MOST_TOLD]]
    if len(broken) > MOST_TOLD:
        rest = ", ".join(entry["id"] for entry in broken[MOST_TOLD:])
        parts.append(f"{len(broken) - MOST_TOLD} more: {rest}")
    parts += [f"## Internal error of the judge\n\n{_fenced(text)}" for text in document["judge_errors"]]
    for title, missing in (
        ("Not exercised: {}, with what to configure", to_configure(document)),
        ("Not judged: {}, with reasons", left_out(document)),
    ):
        if missing:
            lines = [f"- {code(reason)}: {', '.join(ids)}" for reason, ids in missing.items()]
            total = sum(map(len, missing.values()))
            parts.append(_collapsible(title.format(total), "\n".join(lines)))
    if recorded := document.get("informational"):
        lines = [f"- {code(row['question'])}: {code(', '.join(row['answers']))}" for row in recorded]
        parts.append(_collapsible("Recorded but not judged: unspecified behaviour", "\n".join(lines)))
    parts.append(f"To judge again: `{document['command']}`")
    return "\n\n".join(parts) + "\n"


def _classes(document: Document) -> str:
    rows = ["| class | | passed | requirements |", "|---|---|---|---|"]
    for entry in document["classes"]:
        named = entry["failed"] or entry["not_exercised"]
        shown = ", ".join(named[:MOST_NAMED]) + (
            f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        )
        held = f"{entry['passed']} of {entry['total']}" if entry["standing"] != "not offered" else ""
        rows.append(
            f"| {entry['class']} | {SIGNS[entry['standing']]} {entry['standing']} | {held} | {shown} |"
        )
    return "\n".join(rows)


def _broken(entry: Document) -> str:
    known = ", known" if entry["known"] else ""
    parts = [f"### {entry['id']}: {entry['verdict']}{known}", entry["sentence"]]
    if entry["why"]:
        parts.append(f"*Why: {entry['why']}*")
    first = entry["accusations"][0]
    said = f"{first['details'] or first['reason']}\nin {first['case']}"
    told = "\n\n".join([said, *map(conversation_text, first["conversations"])])
    parts.append(_collapsible(code(first["reason"][:160]), _fenced(told)))
    parts.append(f"`{entry['command']}`")
    return "\n\n".join(parts)


def _repeats(repeats: Document) -> str:
    if repeats["steady"]:
        return f"Judged {repeats['times']} times, with the same verdicts each time."
    lines = [
        f"- {name}: {', '.join(f'{verdict} {count}' for verdict, count in counts.items())}"
        for name, counts in repeats["differing"].items()
    ]
    return f"Judged {repeats['times']} times; these verdicts differed:\n\n" + "\n".join(lines)


def _baseline(baseline: Document) -> str:
    known = f"Baseline `{baseline['file']}`: {len(baseline['known'])} known"
    if not baseline["breaches"]:
        return f"{known}, nothing else."
    return f"{known}, but:\n\n" + "\n".join(f"- {code(text)}" for text in baseline["breaches"])


def _collapsible(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
