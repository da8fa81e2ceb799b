"""A page in a browser without a window."""

import asyncio
import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.async_api import async_playwright

from tests.support.programs import require_program

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from localhost, from a port of its own, and give its URL without a slash at the end."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def served_page(folder: Path, text: str) -> Iterator[str]:
    """Serve one page from localhost, from a port of its own."""
    folder.mkdir()
    (folder / "index.html").write_text(text, encoding="utf-8")
    with served(folder) as url:
        yield f"{url}/index.html"


def in_browser(url: str, act: object) -> None:
    """Open `url` in Chromium and have `act` look at the page."""
    chromium = require_program("chromium", apt="chromium")

    async def play() -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await browser.new_page()
            await page.goto(url)
            await act(page)  # type: ignore[operator]
            await browser.close()

    asyncio.run(play())
