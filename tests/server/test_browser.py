"""A page in a real browser that knows six types and nothing else, against the reference server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.support.browsers import in_browser, served_page
from tests.support.patience import patience

pytestmark = pytest.mark.whole

PAGE = """<!doctype html>
<meta charset="utf-8"><title>six types</title>
<pre id="answer"></pre><p id="end"></p>
<script>
  const answer = document.getElementById("answer"), end = document.getElementById("end");
  const grown = [];
  const socket = new WebSocket("%s");
  socket.onopen = () => socket.send(JSON.stringify({ prompt: "What is AI?" }));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    switch (event.type) {
      case "token": answer.textContent += event.data; grown.push(answer.textContent.length); break;
      case "done": end.textContent = "done: " + event.data; break;
      case "error": end.textContent = "error: " + event.data; break;
    }
  };
</script>
"""


@pytest.fixture
def page_url(server_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of the page, served from localhost."""
    socket = server_url.replace("http", "ws", 1) + "/ws/generate"
    with served_page(tmp_path / "page", PAGE % socket) as url:
        yield url


def test_the_text_arrives_piece_by_piece_and_ends(page_url: str) -> None:
    async def look(page: Page) -> None:
        await page.wait_for_function("document.getElementById('end').textContent", timeout=patience(20_000))
        grown = await page.evaluate("grown")
        assert len(grown) > 10
        assert grown == sorted(grown)
        assert (await page.inner_text("#end")).startswith("done: ")
        assert "AI" in await page.inner_text("#answer")

    in_browser(page_url, look)


def test_cancel_stops_it(page_url: str) -> None:
    async def look(page: Page) -> None:
        await page.wait_for_function("grown.length >= 3", timeout=patience(20_000))
        await page.evaluate("socket.send(JSON.stringify({type: 'cancel'}))")
        await page.wait_for_function("document.getElementById('end').textContent", timeout=patience(5_000))
        stopped_at = await page.evaluate("grown.length")
        await page.evaluate("socket.send(JSON.stringify({type: 'heartbeat'}))")
        assert await page.inner_text("#end") == "done: cancelled"
        assert await page.evaluate("grown.length") == stopped_at
        assert stopped_at < 30

    in_browser(page_url, look)
