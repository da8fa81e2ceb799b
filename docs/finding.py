"""Lets people and programs find things: a requirement by its id in the search, and `llms.txt`."""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

from runwire_spec import Requirement, catalogue

_PAGES: list[Page] = []

SUMMARY = """# Runwire

> An open wire protocol for live agent runs over WebSocket and server-sent events, and a judge that proves servers
> against it: `runwire check URL`. A run is an append-only log of events; a transport is a reader with a cursor.

Requirements have ids such as CANCEL-4, and an anchor of that name in their chapter. `spec.json` beside this file has
every requirement as data.
"""


def on_nav(nav: Navigation, config: MkDocsConfig, files: object) -> Navigation:  # noqa: ARG001
    """Keep the pages in the order of the navigation."""
    _PAGES[:] = nav.pages
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Add to the search what has no heading, and write what programs read."""
    site = Path(config.site_dir)
    index = site / "search/search_index.json"
    found = json.loads(index.read_text(encoding="utf-8"))
    found["docs"] += [entry(one) for one in catalogue().values()]
    index.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    (site / "llms.txt").write_text(overview(_PAGES), encoding="utf-8")
    requirements = {one.id: {"sentence": one.sentence, "class": one.conformance_class, "page": page_of(one)}
                    for one in catalogue().values()}  # fmt: skip
    (site / "spec.json").write_text(json.dumps(requirements, ensure_ascii=False, indent=1), encoding="utf-8")


def page_of(requirement: Requirement) -> str:
    """Return where a requirement stands, from the root of the site."""
    return f"spec/{requirement.chapter.removesuffix('.md')}/#{requirement.id}"


def entry(requirement: Requirement) -> dict[str, object]:
    """Return what the search has of a requirement: its id is the title, which counts before any text."""
    return {
        "location": page_of(requirement),
        "title": requirement.id,
        "text": requirement.sentence,
        "boost": 10,
    }


def overview(pages: list[Page]) -> str:
    """Return `llms.txt`: every page with its title, by the part of the site it is in."""
    lines, part = [SUMMARY], None
    for page in pages:
        own = page.parent.title if page.parent else "Pages"
        if own != part:
            lines += ["", f"## {own}", ""]
            part = own
        lines.append(f"- [{page.title}]({page.url or './'})")
    return "\n".join([*lines, ""])
