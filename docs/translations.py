"""Keeps translations and sources together: which lag behind, and the switch between the languages.

`python docs/translations.py` names translations whose source has changed since; `--seen PAGE` says that one was brought
up to date.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Set
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure import StructureItem
from mkdocs.structure.files import Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page
from mkdocs.utils.templates import TemplateContext

ROOT = Path(__file__).parent.parent
CHINESE = ROOT / "docs/pages/zh"
#: The digest of each source as it was when its translation was made.
SEEN = ROOT / "docs/translations.json"
#: The names of the switches to a dark and to a light page, which the theme does not translate.
SWITCHES = {"en": ("Dark", "Light"), "zh": ("深色", "浅色")}


def source_of(translation: Path) -> Path:
    """Return the page that a translation translates, which its first lines name."""
    _, mark, rest = translation.read_text(encoding="utf-8").partition("---\nsource: ")
    if not mark:
        raise ValueError(f"{translation.name} does not begin with the name of its source")
    return ROOT / rest.partition("\n")[0].strip()


def digest(source: Path) -> str:
    """Return what a source's text is known by; spaces at the ends of lines do not count."""
    lines = [line.rstrip() for line in source.read_text(encoding="utf-8").splitlines()]
    return hashlib.sha256("\n".join(lines).strip().encode()).hexdigest()[:16]


def lagging(seen: Mapping[str, str]) -> list[str]:
    """Return a line for each translation whose source is no longer what it was."""
    return [
        f"{path.name} lags behind {source_of(path).relative_to(ROOT)}: translate what changed, then run "
        f"python docs/translations.py --seen {path.name}"
        for path in sorted(CHINESE.glob("*.md"))
        if seen.get(path.name) != digest(source_of(path))
    ]


def recorded() -> dict[str, str]:
    """Return the digests that were recorded."""
    found: dict[str, str] = json.loads(SEEN.read_text(encoding="utf-8")) if SEEN.exists() else {}
    return found


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Link each page with its translation."""
    own = page.file.src_uri
    pairs = translated_pages()
    there = {translated: source for source, translated in pairs.items()}
    if own in pairs:
        return f"<small>[中文](<{_relative(own, pairs[own])}>)</small>\n\n{markdown}"
    if own in there:
        return f"<small>[English](<{_relative(own, there[own])}>)</small>\n\n{markdown}"
    return markdown


def on_page_context(context: TemplateContext, page: Page, config: MkDocsConfig, nav: Navigation) -> None:
    """Have the theme speak the language of the page, and the menu list each page once, in that language."""
    chinese = is_chinese(page)
    config.theme["language"] = language = "zh" if chinese else "en"
    for option, name in zip(config.theme["palette"], SWITCHES[language], strict=True):
        option["toggle"]["name"] = name
    context["nav"] = Navigation(menu(nav.items, chinese), nav.pages)


def on_template_context(context: TemplateContext, template_name: str, config: MkDocsConfig) -> None:  # noqa: ARG001
    """Give the page for what is not found the menu in English."""
    if nav := context.get("nav"):
        context["nav"] = Navigation(menu(nav.items, chinese=False), nav.pages)


def is_chinese(item: StructureItem) -> bool:
    """Return whether a page, or a section of the menu, is in Chinese."""
    pages = item.children if isinstance(item, Section) else [item]
    return all(isinstance(page, Page) and page.file.src_uri.startswith("zh/") for page in pages)


def menu(items: list[StructureItem], chinese: bool) -> list[StructureItem]:
    """Return the menu for a language: to Chinese pages it adds those in English that have no translation."""
    english = [item for item in items if not is_chinese(item)]
    if not chinese:
        return english
    return [item for item in items if is_chinese(item)] + untranslated(english, set(translated_pages()))


def untranslated(items: list[StructureItem], translated: Set[str]) -> list[StructureItem]:
    """Return what of a menu is left without the pages that are translated, and without sections that held only such."""
    left: list[StructureItem] = []
    for item in items:
        if isinstance(item, Section):
            children = untranslated(item.children, translated)
            left += [Section(item.title, children)] if children else []
        elif isinstance(item, Page) and item.file.src_uri not in translated:
            left.append(item)
    return left


def on_post_build(config: MkDocsConfig) -> None:
    """Put the list of pages where the theme's switch of languages looks for it."""
    site = Path(config.site_dir)
    shutil.copy(site / "sitemap.xml", site / "zh/sitemap.xml")


def published(source: Path) -> str:
    """Return where a source stands on the site."""
    path = source.relative_to(ROOT)
    if path.parts[0] == "clients":
        return f"clients/{path.parent.name}.md"
    return str(path.relative_to("docs/pages") if path.is_relative_to("docs/pages") else path)


def translated_pages() -> dict[str, str]:
    """Return the place on the site of every translated source, with the place of its translation."""
    return {published(source_of(path)): f"zh/{path.name}" for path in CHINESE.glob("*.md")}


def _relative(own: str, target: str) -> str:
    return "../" * own.count("/") + target


def main() -> int:
    """Name what lags behind, or record pages as up to date."""
    words = sys.argv[1:]
    seen = recorded()
    if words[:1] == ["--seen"]:
        names = words[1:] or [path.name for path in CHINESE.glob("*.md")]
        seen |= {name: digest(source_of(CHINESE / name)) for name in names}
        SEEN.write_text(json.dumps(dict(sorted(seen.items())), indent=2) + "\n", encoding="utf-8")
    found = lagging(seen)
    print("\n".join(found) or "no translation lags behind")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
