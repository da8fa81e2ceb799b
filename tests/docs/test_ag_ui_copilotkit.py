"""CopilotKit's React components, bundled as the page says, in a real browser, in front of `POST /ag-ui`."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.support.ag_ui_clients import Cutting
from tests.support.ag_ui_stand import UNHURRIED, script
from tests.support.auth_stand import served
from tests.support.browsers import FLAGS, served_page
from tests.support.npm_stand import installed
from tests.support.patience import patience, tries
from tests.support.programs import require_program

ROOT = Path(__file__).parents[2]
PACKAGES = ("@copilotkit/react-core@1.74.0", "react@19", "react-dom@19", "esbuild@0")
INDEX = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="main.css">
<div id="root" style="height: 100vh"></div><script type="module" src="main.js"></script>"""

pytestmark = [pytest.mark.whole, pytest.mark.anyio]

WORDS = [f"w{place} " for place in range(30)]


def bundle(folder: Path, out: Path) -> None:
    """Write `main.js` and `main.css` into `out`."""
    modules = installed(*PACKAGES, apart="npm-copilotkit")
    page = (ROOT / "docs/pages/ag-ui.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```jsx\n(.*?)```", page, re.DOTALL)
    (folder / "main.jsx").write_text(code, encoding="utf-8")
    (folder / "node_modules").symlink_to(modules)
    client = ROOT / "clients/javascript/src/ag_ui.js"
    options = ["--bundle", "--format=esm", "--jsx=automatic", f"--alias:runwire/ag-ui={client}"]
    options += [f"--loader:.{font}=dataurl" for font in ("woff2", "woff", "ttf")]
    options += ['--define:process.env.NODE_ENV="production"']
    subprocess.run(
        [modules / ".bin/esbuild", "main.jsx", *options, f"--outfile={out / 'main.js'}"],
        cwd=folder, check=True, capture_output=True, timeout=patience(120),
    )  # fmt: skip


async def test_the_chat_shows_each_word_once_and_its_stop_button_stops(tmp_path: Path) -> None:
    chromium = require_program("chromium", apt="chromium")
    runs: list[str] = []

    async def ask(page: Page, prompt: str) -> None:
        await page.locator("textarea").first.fill(prompt)
        await page.locator("textarea").first.press("Enter")

    with served(tmp_path, "--ag-ui", *UNHURRIED) as stand, served_page(tmp_path / "page", INDEX) as url:
        bundle(tmp_path, tmp_path / "page")
        async with Cutting(stand.url).listening() as line, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await browser.new_page()
            page.on(
                "request",
                lambda asked: runs.append(asked.post_data or "") if asked.method == "POST" else None,
            )
            await page.goto(f"{url}?server={quote(line)}")
            steps = [step for word in WORDS for step in ({"token": word}, {"wait_ms": 100})]
            await ask(page, script(*steps))
            answer = "".join(WORDS).strip()
            await expect(page.get_by_text(answer, exact=True)).to_be_visible(timeout=patience(60_000))
            asked = len(runs)
            await ask(page, script({"token": "without end"}, {"wait_ms": 600_000}))
            await expect(page.get_by_text("without end", exact=True)).to_be_visible(timeout=patience(60_000))
            await page.get_by_test_id("copilot-send-button").click()
            run = json.loads(next(body for body in runs[asked:] if body.startswith("{")))["runId"]
            for _ in tries(20, 0.1):
                if (status := stand.ask("GET", f"/v1/runs/{run}").json["status"]) != "running":
                    break
                await asyncio.sleep(0.1)
            await browser.close()

    assert len({json.loads(body)["runId"] for body in runs[:asked]}) == 1 and asked > 1, "the line broke"
    assert status == "cancelled"
