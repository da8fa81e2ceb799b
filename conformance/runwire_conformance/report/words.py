"""Texts that several forms of the report share."""

from runwire_conformance.report.document import Document


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
    if counts["fail"]:
        broken = counts["fail"]
        return f"{broken} requirement{'' if broken == 1 else 's'} broken"
    if document["judge_errors"]:
        return "The judge itself failed"
    if not counts["pass"]:
        return "Nothing was exercised"
    if any(entry["standing"] == "partial" for entry in document["classes"]):
        return "Nothing broken, and only a part was judged"
    claimed = [entry for entry in document["classes"] if entry["standing"] != "not offered"]
    unshown = [entry["class"] for entry in claimed if entry["standing"] != "conformant"]
    if unshown:
        return f"Nothing broken; not everything shown of {', '.join(unshown)}"
    return "Conformant in everything it claims"
