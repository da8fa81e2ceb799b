"""Badge: JSON for a shields.io endpoint."""

import json

from runwire_conformance.report.document import Document
from runwire_conformance.verdict.judgement import Verdict


def as_badge(document: Document) -> str:
    """Return the badge as JSON: the classes a server conforms to, or how much is broken."""
    standings = {entry["class"]: entry["standing"] for entry in document["classes"]}
    conformant = [name for name, standing in standings.items() if standing == "conformant"]
    broken = document["counts"][Verdict.FAIL]
    shown = [name for name, standing in standings.items() if standing == "shown within patience"]
    if broken:
        message, color = f"{broken} broken", "red"
    elif document["partial"]:
        message, color = "partial", "lightgrey"
    elif document["counts"][Verdict.NOT_JUDGED]:
        message, color = f"{document['counts'][Verdict.NOT_JUDGED]} not judged", "lightgrey"
    elif shown:
        named = [name for name in standings if name in {*shown, *conformant} and name != "basic"]
        message, color = f"{', '.join(named)} within {document['patience_s']:g} s", "yellowgreen"
    elif document["counts"][Verdict.JUDGE_ERROR] or not conformant:
        message, color = "not shown", "lightgrey"
    elif "core" in conformant:
        message, color = ", ".join(name for name in conformant if name != "basic"), "brightgreen"
    else:
        message, color = ", ".join(conformant), "yellowgreen"
    badge = {"schemaVersion": 1, "label": "runwire 1", "message": message, "color": color}
    return json.dumps(badge, ensure_ascii=False) + "\n"
