"""CTRF report (Common Test Report Format, ctrf.io), one test per requirement."""

import json
import uuid
from datetime import datetime
from typing import Any

from runwire_conformance.report.document import Document
from runwire_conformance.report.words import conversation_text
from runwire_conformance.verdict.judgement import Verdict

#: Advice fails nothing by itself; it is told as a test that passed with a message.
STATUS = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.ADVICE: "passed",
    Verdict.NOT_OFFERED: "skipped",
    Verdict.NOT_EXERCISED: "pending",
    Verdict.NOT_JUDGED: "other",
    Verdict.JUDGE_ERROR: "other",
}


def as_ctrf(document: Document) -> str:
    """Return the report as CTRF JSON."""
    start = int(datetime.fromisoformat(document["began"]).timestamp() * 1000)
    duration = round(document["seconds"] * 1000)
    tests = [_test(entry) for entry in document["requirements"]]
    counted = {
        status: sum(test["status"] == status for test in tests)
        for status in ("passed", "failed", "skipped", "pending", "other")
    }
    report = {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "reportId": str(uuid.uuid4()),
        "timestamp": document["began"],
        "generatedBy": f"runwire {document['judge']}",
        "results": {
            "tool": {"name": "runwire", "version": document["judge"]},
            "summary": {
                "tests": len(tests),
                **counted,
                "suites": len(document["classes"]),
                "start": start,
                "stop": start + duration,
            },
            "tests": tests,
            "environment": {"appName": document["server"], "testEnvironment": document["url"]},
        },
    }
    return json.dumps(report, ensure_ascii=False, indent=1) + "\n"


def _test(entry: Document) -> dict[str, Any]:
    seen = [*entry["accusations"], *([entry["witness"]] if "witness" in entry else [])]
    test: dict[str, Any] = {
        "name": f"{entry['id']} {entry['sentence']}",
        "status": STATUS[Verdict(entry["verdict"])],
        "duration": round(max((case["seconds"] for case in seen), default=0.0) * 1000),
        "suite": [entry["class"]],
        "rawStatus": entry["verdict"],
        "tags": [entry["class"], entry["keyword"]],
        "extra": {"link": entry["link"], "codes": entry["codes"], "command": entry["command"]},
    }
    if entry["reasons"]:
        test["message"] = "\n".join(entry["reasons"])
    if entry["accusations"]:
        first = entry["accusations"][0]
        said = first["details"] or first["reason"]
        test["trace"] = "\n\n".join(
            [f"{said}\nin {first['case']}", *map(conversation_text, first["conversations"])]
        )
    return test
