"""The site: every requirement can be linked to, no link is broken, nothing is asked of another machine."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from runwire_conformance.cli import app, command_called
from runwire_reference_server.cli import parser
from runwire_spec import catalogue
from tests.support.patience import patience

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
PROSE = [ROOT / "README.md", *sorted((ROOT / "docs/pages").rglob("*.md")), *ROOT.glob("*/README.md")]


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site strictly."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", source / "docs/mkdocs.yml", "-d", site],
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    place = tmp_path_factory.mktemp("site")
    result = build(ROOT, place)
    assert result.returncode == 0, result.stderr
    return place


def page_of(chapter: str) -> str:
    return f"spec/{chapter.removesuffix('.md')}/index.html"


def test_every_requirement_has_an_anchor_on_its_page(site: Path) -> None:
    for requirement in catalogue().values():
        page = (site / page_of(requirement.chapter)).read_text(encoding="utf-8")
        assert page.count(f'id="{requirement.id}"') == 1, requirement.id


def test_every_mention_of_a_requirement_is_a_link(site: Path) -> None:
    for path in site.rglob("index.html"):
        text = re.sub(r"<(pre|code|script)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        plain = re.sub(r"<a\b.*?</a>", "", text, flags=re.DOTALL)
        assert re.findall(r"\[([A-Z]+-[0-9]+)\]", plain) == [], path.relative_to(site)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = re.compile(
        r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:)?//|<link\b[^>]*\bhref="https?://(?!runwire)'
    )
    for path in site.rglob("*.html"):
        found = [hit.group(0) for hit in fetched.finditer(path.read_text(encoding="utf-8"))]
        assert [hit for hit in found if "canonical" not in hit] == [], path.relative_to(site)
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?https?:", path.read_text(encoding="utf-8")), path.name


def test_a_broken_link_breaks_the_build(tmp_path: Path) -> None:
    for name in ("docs", "examples", "reference_server", "spec"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in (*ROOT.glob("*.md"),):
        shutil.copy(path, tmp_path)
    page = tmp_path / "docs/pages/index.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[gone](gone.md)\n", encoding="utf-8")

    result = build(tmp_path, tmp_path / "site")

    assert result.returncode != 0
    assert "gone.md" in result.stderr


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Return the options of every command line of `program` in the documentation."""
    found = []
    for path in PROSE:
        for line in re.findall(
            rf"^\s*(?:\$ )?({program} [^\n`|]*)$", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            words = shlex.split(line, comments=True)
            found.append((f"{path.parent.name}/{path.name}: {line}", words[1:]))
    return found


@pytest.mark.parametrize(("line", "words"), commands("runwire"), ids=lambda value: str(value)[:60])
def test_a_told_command_exists(line: str, words: list[str]) -> None:
    command = typer_command(words)
    known = {name for parameter in command.params for name in parameter.opts}
    own = words[: words.index("--")] if "--" in words else words  # what follows is for pytest
    used = {word.partition("=")[0] for word in own if word.startswith("--")}

    assert used <= known, line


def typer_command(words: list[str]):  # type: ignore[no-untyped-def]
    """Return the command that `words` call."""
    if words[0].startswith("-"):
        return typer.main.get_command(app)
    command = command_called(words[0])
    for word in words[1:]:
        commands_of = getattr(command, "commands", {})
        if word not in commands_of:
            break
        command = commands_of[word]
    return command


@pytest.mark.parametrize(("line", "words"), commands("runwire-server"), ids=lambda value: str(value)[:60])
def test_a_told_option_of_the_server_exists(line: str, words: list[str]) -> None:
    known = {name for action in parser()._actions for name in action.option_strings}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}

    assert used <= known, line
