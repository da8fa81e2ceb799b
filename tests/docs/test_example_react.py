"""The React example, bundled as its README says and used in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from tests.support.browsers import in_browser, served_page
from tests.support.npm_stand import installed
from tests.support.patience import patience
from tests.support.playgrounds import ENDLESS, PACED

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/react"


def bundle(folder: Path) -> None:
    """Write `main.js` into `folder`."""
    modules = installed("react@19", "react-dom@19", "esbuild@0")
    sources = folder / "example"
    shutil.copytree(EXAMPLE, sources, ignore=shutil.ignore_patterns("node_modules", "main.js"))
    (sources / "node_modules").symlink_to(modules)
    client = ROOT / "clients/javascript/src/runwire.js"
    options = ["--bundle", "--format=esm", "--jsx=automatic", f"--alias:runwire={client}"]
    subprocess.run(
        [modules / ".bin/esbuild", "main.jsx", *options, f"--outfile={folder / 'main.js'}"],
        cwd=sources, check=True, capture_output=True, timeout=patience(120),
    )  # fmt: skip


def test_a_page_shows_stops_and_finds_its_run_again(server_url: str, tmp_path: Path) -> None:
    bundle(tmp_path)

    async def look(page: Page) -> None:
        answer, footer = page.locator("article"), page.locator("footer")
        await page.fill("input", PACED)
        await page.click("text=Start")
        await expect(answer).to_contain_text("ab ab", timeout=patience(20_000))
        await page.reload()
        await expect(footer).to_contain_text("completed", timeout=patience(20_000))
        assert await answer.text_content() == "ab " * 60
        await page.fill("input", ENDLESS)
        await page.click("text=Start")
        await expect(answer).to_contain_text("xxx", timeout=patience(20_000))
        await page.click("text=Stop")
        await expect(footer).to_contain_text("cancelled", timeout=patience(20_000))
        await page.fill("input", "Ask me: what is a run?")
        await page.click("text=Start")
        await page.click("text=Yes", timeout=patience(20_000))
        await expect(footer).to_contain_text("completed", timeout=patience(20_000))
        await expect(page.locator("li").first).to_contain_text("I should look")

    with served_page(tmp_path / "page", (EXAMPLE / "index.html").read_text(encoding="utf-8")) as url:
        shutil.copy(tmp_path / "main.js", tmp_path / "page/main.js")
        in_browser(f"{url}?server={quote(server_url)}", look)
