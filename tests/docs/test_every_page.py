"""Every page of the site in Chromium, wide and narrow, light and dark, in both languages.

A variable RUNWIRE_SCREENSHOTS names a folder for pictures of all of them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.support.browsers import FLAGS, served
from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
SCREENS = {"desktop": {"width": 1366, "height": 900}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")

#: What a page says of itself: links, anchors, and whether one has to scroll sideways to read it.
LOOK = """() => ({
    links: [...document.querySelectorAll("a[href]")].map((link) => link.href),
    anchors: [...document.querySelectorAll("[id], a[name]")].map((part) => part.id || part.name),
    excess: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    wide: [...document.querySelectorAll("main *, header *, article *")]
        .filter((part) => part.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map((part) => part.outerHTML.slice(0, 80)).slice(0, 3),
    scheme: document.body.dataset.mdColorScheme,
    text: document.querySelector("article, main")?.innerText.trim().length ?? 0,
})"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The built site, and where it is served."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ROOT / "docs/mkdocs.yml", "-d", folder],
        capture_output=True, text=True, timeout=patience(120), check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    with served(folder) as url:
        yield folder, url


class Visit:
    """A walk through all pages: `faults` is what was wrong, `seen` what each says of itself."""

    def __init__(self, url: str, pages: list[str]) -> None:
        self._url = url
        self._pages = pages
        self.faults: list[str] = []
        self.seen: dict[str, dict[str, Any]] = {}

    async def walk(self, browser: Browser) -> None:
        """Open every page and look at it in every way."""
        for scheme in SCHEMES:
            await self._walk(browser, scheme)

    async def _walk(self, browser: Browser, scheme: Any) -> None:
        page = await browser.new_page(color_scheme=scheme)
        page.set_default_timeout(patience(30_000))
        page.on("pageerror", lambda problem: self._fault(page, f"raised {problem}"))
        page.on("console", lambda said: said.type == "error" and self._fault(page, f"said {said.text}"))
        page.on(
            "request",
            lambda asked: asked.url.startswith((self._url, "data:")) or self._fault(page, asked.url),
        )
        page.on("response", lambda got: got.status >= 400 and self._fault(page, f"{got.status} {got.url}"))
        for path in self._pages:
            await page.set_viewport_size(SCREENS["desktop"])  # type: ignore[arg-type]
            await page.goto(f"{self._url}/{path}", wait_until="load")
            await page.add_style_tag(content="* { transition: none !important; animation: none !important }")
            for screen, size in SCREENS.items():
                await page.set_viewport_size(size)  # type: ignore[arg-type]
                look = self.seen[path] = await page.evaluate(LOOK)
                if look["excess"] > 0:
                    self._fault(page, f"{look['excess']} px too wide on a {screen}: {look['wide']}")
                if look["scheme"] != {"light": "default", "dark": "slate"}[scheme]:
                    self._fault(page, f"is {look['scheme']} where {scheme} is wanted")
                await self._picture(page, f"{path}.{screen}.{scheme}")
        await page.close()

    def _fault(self, page: Page, what: str) -> None:
        self.faults.append(f"{page.url.removeprefix(self._url)}: {what}")

    async def _picture(self, page: Page, name: str) -> None:
        if folder := os.environ.get("RUNWIRE_SCREENSHOTS"):
            await page.screenshot(path=Path(folder) / f"{name.replace('/', '-')}.png")


@pytest.fixture(scope="module")
def visit(site: tuple[Path, str]) -> Visit:
    """Every page, seen in every way."""
    folder, url = site
    chromium = require_program("chromium", apt="chromium")
    pages = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*.html") if path.name != "404.html"
    )
    visit = Visit(url, pages)

    async def walk() -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            await visit.walk(browser)
            await browser.close()

    asyncio.run(walk())
    return visit


def test_no_page_has_a_fault(visit: Visit) -> None:
    assert not visit.faults, "\n".join(visit.faults)
    assert len(visit.seen) > 80
    assert [path for path, look in visit.seen.items() if look["text"] < 80] == []


def test_every_link_leads_somewhere(site: tuple[Path, str], visit: Visit) -> None:
    folder, url = site
    anchors = {path: set(look["anchors"]) for path, look in visit.seen.items()}
    broken = []
    for path, look in visit.seen.items():
        for link in set(look["links"]):
            if not link.startswith(url):
                assert urlsplit(link).scheme in {"http", "https", "mailto", "javascript"}, link
                continue
            place, fragment = urldefrag(link.removeprefix(url).lstrip("/"))
            file = folder / unquote(urlsplit(place).path)
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                broken.append(f"{path} -> {link}")
            elif fragment and unquote(fragment) not in anchors.get(
                str(file.relative_to(folder)), {unquote(fragment)}
            ):
                broken.append(f"{path} -> {link}: no such anchor")

    assert broken == []
