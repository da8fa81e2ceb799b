"""The page at `/` of the reference server in a real browser: it shows a run, stops it, resumes it and falls back."""

import json
import urllib.request

import pytest
from playwright.async_api import Page, Request, WebSocketRoute

from tests.support.browsers import in_browser
from tests.support.patience import patience
from tests.support.playgrounds import ENDLESS, PACED, answered, ended, start, state

pytestmark = pytest.mark.whole


def test_every_kind_of_step_is_shown(server_url: str) -> None:
    async def look(page: Page) -> None:
        await start(page, "What is AI?")
        await ended(page)
        assert "I should look" in await page.inner_text("#steps .thinking")
        assert "search_glossary" in await page.inner_text("#steps .tool")
        assert '"found"' in await page.inner_text("#steps .tool")
        assert "AI is software" in await page.inner_text("#answer")
        assert (await page.inner_text("#end")).startswith("completed:")
        assert (await state(page)).startswith("websocket")

    in_browser(server_url, look)


def test_stop_stops(server_url: str) -> None:
    async def look(page: Page) -> None:
        await start(page, ENDLESS)
        await answered(page, 3)
        await page.click("#cancel")
        await ended(page)
        assert (await page.inner_text("#end")).startswith("cancelled:")

    in_browser(server_url, look)


def test_a_dropped_connection_is_resumed_without_loss(server_url: str) -> None:
    async def look(page: Page) -> None:
        for transport in ("websocket", "sse"):
            await page.goto(server_url)
            await start(page, PACED, transport)
            for length in (15, 75):
                await answered(page, length)
                await page.click("#drop")
            await ended(page)
            assert await page.text_content("#answer") == "ab " * 60
            assert "resumed" in (await page.text_content("#wire") or "")

    in_browser(server_url, look)


def test_a_blocked_websocket_falls_back_to_sse(server_url: str) -> None:
    async def block(route: WebSocketRoute) -> None:
        await route.close()

    async def look(page: Page) -> None:
        await page.route_web_socket("**/*", block)
        await page.reload()
        await start(page, PACED)
        await ended(page)
        assert (await state(page)).startswith("sse")
        assert await page.text_content("#answer") == "ab " * 60

    in_browser(server_url, look)


def test_a_question_is_answered_from_the_page(server_url: str) -> None:
    async def look(page: Page) -> None:
        for transport in ("websocket", "sse"):
            await page.goto(server_url)
            await start(page, "Ask me: what is a run?", transport)
            await page.click("#steps .input >> text=Yes", timeout=patience(20_000))
            await ended(page)
            assert "answered" in await page.inner_text("#steps .input")
            assert "append-only log" in await page.inner_text("#answer")

    in_browser(server_url, look)


def test_what_an_agent_writes_is_text_and_never_markup(server_url: str) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    script = [
        {"thinking": hostile},
        {"tool_call": {"call_id": "c", "name": hostile, "input": hostile}},
        {"observation": {"call_id": "c", "content": hostile}},
        {"token": hostile},
    ]

    async def look(page: Page) -> None:
        await start(page, json.dumps({"runwire_script": script}))
        await ended(page)
        assert await page.text_content("#answer") == hostile
        assert await page.locator("img").count() == 0
        assert await page.title() == "Runwire playground"

    in_browser(server_url, look)


def test_nothing_leaves_the_server(server_url: str) -> None:
    async def look(page: Page) -> None:
        asked: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url)

        page.on("request", note)
        await page.reload()
        await start(page, "What is AI?", "sse")
        await ended(page)
        assert len(asked) > 3
        assert [url for url in asked if not url.startswith(server_url)] == []

    in_browser(server_url, look)


def test_the_page_is_served_with_a_policy(server_url: str) -> None:
    with urllib.request.urlopen(server_url) as response:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert b"Runwire playground" in response.read()
