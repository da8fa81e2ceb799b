"""The playground in a browser, and what to ask of it."""

import json
import re

from playwright.async_api import Page, expect

from tests.support.patience import patience

PACED = json.dumps({"runwire_script": [{"repeat": 60, "steps": [{"token": "ab "}, {"wait_ms": 30}]}]})


ENDLESS = json.dumps({"runwire_script": [{"repeat": 1000, "steps": [{"token": "x"}, {"wait_ms": 20}]}]})


async def start(page: Page, prompt: str, transport: str = "auto") -> None:
    """Fill the form and send it."""
    await page.click("summary >> text=Connection")
    await page.select_option("#transport", transport)
    await page.fill("#prompt", prompt)
    await page.click("#start")


async def ended(page: Page) -> None:
    """Wait until the page shows the end of the run."""
    await expect(page.locator("#end")).not_to_be_empty(timeout=patience(20_000))


async def answered(page: Page, length: int) -> None:
    """Wait until the answer has `length` characters."""
    await expect(page.locator("#answer")).to_have_text(
        re.compile(f".{{{length},}}"), timeout=patience(20_000)
    )


async def state(page: Page) -> str:
    """Return what the page says of its connection."""
    return await page.evaluate("document.getElementById('state').value")
