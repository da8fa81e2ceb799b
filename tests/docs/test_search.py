"""The search of the site in Chromium, and the switch between its languages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from tests.support.browsers import FLAGS, served
from tests.support.patience import patience
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the built site is served."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ROOT / "docs/mkdocs.yml", "-d", folder],
        capture_output=True, text=True, timeout=patience(120), check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    with served(folder) as url:
        yield url


def on_page(look: Callable[[Page], Awaitable[T]]) -> T:
    """Return what a look at a page of Chromium returns."""
    chromium = require_program("chromium", apt="chromium")

    async def seen() -> T:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await browser.new_page(viewport={"width": 1366, "height": 900})
            page.set_default_timeout(patience(30_000))
            found = await look(page)
            await browser.close()
        return found

    return asyncio.run(seen())


@pytest.mark.parametrize(
    ("begin", "words", "first"),
    [
        ("/", "CANCEL-4", "/spec/06-cancel/#CANCEL-4"),
        ("/zh/", "CANCEL-4", "/spec/06-cancel/#CANCEL-4"),
        ("/zh/", "基线", "/zh/reports/#a-baseline"),
    ],
)
def test_the_search_finds_it_first(site: str, begin: str, words: str, first: str) -> None:
    async def look(page: Page) -> str | None:
        await page.goto(site + begin)
        await page.locator("[data-md-component=search-query]").fill(words)
        parts = page.locator(".md-search-result__link[href*='#']")  # of a page, not the page as a whole
        return await parts.first.get_attribute("href")

    found = urlsplit(on_page(look) or "")

    assert f"{found.path}#{found.fragment}" == first


@pytest.mark.parametrize(
    ("begin", "words", "language", "there"),
    [("/tools/", "中文", "zh", "/zh/tools/"), ("/zh/client-python/", "English", "en", "/clients/python/")],
)
def test_a_page_leads_to_its_translation(
    site: str, begin: str, words: str, language: str, there: str
) -> None:
    async def look(page: Page) -> tuple[str, str | None]:
        await page.goto(site + begin)
        await page.locator("article").get_by_role("link", name=words, exact=True).click()
        await page.wait_for_url(f"**{there}")
        return page.url, await page.locator("html").get_attribute("lang")

    url, said = on_page(look)

    assert (url.removeprefix(site), said) == (there, language)
