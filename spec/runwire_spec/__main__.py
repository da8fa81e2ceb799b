"""`python -m runwire_spec generate | check [--spec-dir DIR]`: writes or checks what is extracted."""

import argparse
import json
import sys
from pathlib import Path

from runwire_spec.extract import Extract, Problem, extract

HERE = Path(__file__).parent


def read_chapters(directory: Path) -> dict[str, str]:
    """Return the texts of all Markdown files in `directory` by name, in the order of their names."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.md"))}


def generated(result: Extract) -> dict[str, str]:
    """Return the contents of the generated files by name."""
    contents = {"requirements.json": result.as_json(), "registries.json": result.registries}
    return {
        name: json.dumps(content, ensure_ascii=False, indent=1) + "\n" for name, content in contents.items()
    }


def vanished(result: Extract, directory: Path) -> list[Problem]:
    """Return a problem for each id that was published and is gone from the text."""
    published = directory / "requirements.json"
    if not published.exists():
        return []
    before = [entry["id"] for entry in json.loads(published.read_text(encoding="utf-8"))]
    return [
        Problem("spec", 1, f"[{identifier}] is gone from the text: withdraw it, do not delete it")
        for identifier in before
        if identifier not in result.ids
    ]


def main() -> int:
    """Run the command; return 0, 1 for mistakes in the text or stale files, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m runwire_spec", description=__doc__)
    parser.add_argument("command", choices=["generate", "check"])
    parser.add_argument("--spec-dir", type=Path, default=HERE.parent, help="the folder of the chapters")
    parser.add_argument("--out-dir", type=Path, default=HERE, help="the folder of the generated files")
    options = parser.parse_args()
    chapters = read_chapters(options.spec_dir)
    if not chapters:
        print(f"no chapters (*.md) in {options.spec_dir}; name their folder with --spec-dir", file=sys.stderr)
        return 2
    result = extract(chapters)
    problems = [*result.problems, *vanished(result, options.out_dir)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    for name, content in generated(result).items():
        path = options.out_dir / name
        if options.command == "generate":
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            print(f"{name} is not what the text says; run: make generate", file=sys.stderr)
            return 1
    print(f"{len(result.requirements)} requirements, {len(result.registries)} registries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
