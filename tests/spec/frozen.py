"""Version 1 is frozen: digests of every sentence, registry and schema. A change of one has to say so, and why.

`.venv/bin/python -m tests.spec.frozen --because "why this is an erratum or an extension"` writes them anew and notes
what changed in `frozen.json`; each of these names belongs into CHANGELOG.md as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runwire_schemas import names, schema
from runwire_spec import catalogue, registries

FILE = Path(__file__).parent / "frozen.json"

Digests = dict[str, str]


def digest(value: object) -> str:
    """Return a digest of a JSON value, whatever the order of its members."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def digests() -> Digests:
    """Return a digest of everything that a reader of version 1 relies on, by its name."""
    sentences = {
        identifier: digest(
            [r.keyword, r.role, r.conformance_class, r.sentence, r.not_observable_because is None]
        )
        for identifier, r in catalogue().items()
    }
    tables = {f"registry {name}": digest(rows) for name, rows in registries().items()}
    described = {f"schema {name}": digest(schema(name)) for name in names()}
    return {**sentences, **tables, **described}


def frozen() -> dict[str, Any]:
    """Return what is frozen: `digests`, and the `changes` since with their reasons."""
    if not FILE.exists():
        return {"digests": {}, "changes": []}
    loaded: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return loaded


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names whose digests differ, or that only one side has."""
    return [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]


def main() -> None:
    """Freeze what stands now; the first time without a change, later with a reason for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--because", required=True, help="why version 1 may change so")
    because = parser.parse_args().because
    before, now = frozen(), digests()
    changed = differing(before["digests"], now) if before["digests"] else []
    changes = [*before["changes"], *([{"names": changed, "because": because}] if changed else [])]
    FILE.write_text(
        json.dumps({"changes": changes, "digests": now}, ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
    print(f"{len(now)} names frozen, {len(changed)} of them anew: {', '.join(changed)}")


if __name__ == "__main__":
    main()
