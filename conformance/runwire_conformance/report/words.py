"""Texts shared by several forms of the report."""

from collections.abc import Mapping

from runwire_conformance.report.document import Document

#: The sign of each standing of a class. Only what was judged whole and held is green.
SIGNS: Mapping[str, str] = {
    "conformant": "✅",
    "shown within patience": "☑️",
    "not conformant": "❌",
    "not shown": "❔",
    "partial": "◐",
    "not offered": "➖",
}

#: The same without colour.
PLAIN_SIGNS: Mapping[str, str] = {
    "conformant": "✓",
    "shown within patience": "✓",
    "not conformant": "✕",
    "not shown": "?",
    "partial": "◐",
    "not offered": "–",
}


def conversation_text(conversation: Document) -> str:
    """Return a conversation as lines with times and arrows."""
    told = [f"{conversation['transport']} {conversation['title']}"]
    for line in conversation["lines"]:
        if "left_out" in line:
            told.append(f"          … {line['left_out']} more …")
        else:
            arrow = "→" if line["side"] == "client" else "←"
            told.append(f"{line['at']:8.3f} {arrow} {line['text']}".rstrip())
    return "\n".join(told)


def headline(document: Document) -> str:
    """Return what came of it, in one sentence."""
    counts = document["counts"]
    judged = counts["pass"] + counts["advice"] + counts["fail"]
    if document["partial"]:
        broken = f"{counts['fail']} of {judged} broken" if counts["fail"] else f"{judged} judged, none broken"
        return f"Partial ({document['partial']}): {broken}"
    if counts["fail"]:
        broken = counts["fail"]
        return f"{broken} requirement{'' if broken == 1 else 's'} broken"
    if document["judge_errors"]:
        return "The judge had an internal error"
    if not counts["pass"]:
        return "Nothing was exercised"
    if counts["not judged"]:
        return f"{judged} judged, none broken; {counts['not judged']} not judged"
    claimed = [entry for entry in document["classes"] if entry["standing"] != "not offered"]
    unshown = [entry["class"] for entry in claimed if entry["standing"] == "not shown"]
    if unshown:
        return f"Nothing broken; some requirements were not exercised in {', '.join(unshown)}"
    if any(entry["standing"] != "conformant" for entry in claimed):
        return f"Everything exercised except time bounds longer than the patience of {document['patience_s']:g} s"
    return "Conformant in everything it claims"
