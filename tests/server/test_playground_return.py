"""The page at `/` of the reference server through reloads, restarts, sign-in and in a second tab, in a real browser."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.proof.relays import Carried, Relay
from tests.support.auth_stand import ALICE, served, token_options
from tests.support.browsers import in_browser
from tests.support.check_reference_server import command, listening
from tests.support.patience import patience
from tests.support.playgrounds import ENDLESS, PACED, answered, ended, start, state

pytestmark = pytest.mark.whole

WHOLE = "ab " * 60
SLOW = json.dumps({"runwire_script": [{"repeat": 60, "steps": [{"token": "ab "}, {"wait_ms": 50}]}]})


def test_a_reload_in_the_middle_loses_and_doubles_nothing(server_url: str) -> None:
    async def look(page: Page) -> None:
        for transport in ("websocket", "sse"):
            await page.goto(server_url)
            await start(page, PACED, transport)
            for length in (15, 60):
                await answered(page, length)
                await page.reload()
            await ended(page)
            assert await page.text_content("#answer") == WHOLE
            assert await page.input_value("#prompt") == PACED
            await page.reload()
            await ended(page)
            assert await page.text_content("#answer") == WHOLE

    in_browser(server_url, look)


def test_a_second_tab_watches_and_stops_the_same_run(server_url: str) -> None:
    async def look(page: Page) -> None:
        await start(page, ENDLESS)
        await answered(page, 3)
        async with page.context.expect_page() as opened:
            await page.click("#second")
        second = await opened.value
        await answered(second, 5)
        await second.click("#cancel")
        for tab in (page, second):
            await ended(tab)
            assert (await tab.inner_text("#end")).startswith("cancelled:")
        assert await second.text_content("#answer") == await page.text_content("#answer")

    in_browser(server_url, look)


def test_a_run_that_is_gone_is_not_started_by_a_link(server_url: str) -> None:
    async def look(page: Page) -> None:
        await page.goto(f"{server_url}/#run={'g' * 22}")
        await expect(page.locator("#state")).to_have_text(
            "websocket · stopped · no such run", timeout=patience(20_000)
        )
        assert "start" not in (await page.text_content("#wire") or "").replace("started", "")

    in_browser(server_url, look)


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def server_at(port: int) -> Iterator[str]:
    """Run a server at this port, and kill it without a word."""
    server = subprocess.Popen([*command(), f"--port={port}"], stdout=subprocess.PIPE, text=True)
    try:
        yield listening(server)
    finally:
        server.kill()
        server.wait(patience(10))
        assert server.stdout is not None
        server.stdout.close()


def test_a_server_that_was_killed_and_comes_back_is_found_again(port: int) -> None:
    with contextlib.ExitStack() as servers:
        url = servers.enter_context(server_at(port))

        async def look(page: Page) -> None:
            for transport in ("websocket", "sse"):
                await page.goto(url)
                await start(page, SLOW, transport)
                await answered(page, 30)
                servers.pop_all().close()
                await expect(page.locator("#state")).to_contain_text("again in", timeout=patience(40_000))
                servers.enter_context(server_at(port))
                await ended(page)
                assert await page.text_content("#answer") == WHOLE

        in_browser(url, look)


def test_a_server_that_wants_a_token_gets_one(tmp_path: Path) -> None:
    with served(tmp_path, *token_options(tmp_path)) as stand:

        async def look(page: Page) -> None:
            await start(page, PACED)
            await page.fill("#token", "nobody-knows-this-token", timeout=patience(20_000))
            await page.keyboard.press("Enter")
            await expect(page.locator("#sign-in label")).to_contain_text(
                "did not take", timeout=patience(20_000)
            )
            await page.fill("#token", ALICE)
            await page.keyboard.press("Enter")
            await ended(page)
            assert await page.text_content("#answer") == WHOLE
            assert (await state(page)).startswith("websocket")
            assert ALICE not in page.url + await page.content()
            assert ALICE not in json.dumps(await page.context.storage_state())

        in_browser(stand.url, look)


class RefusesUpgrades(Relay):
    """A proxy that answers every WebSocket handshake with 403."""

    async def up(self, carried: Carried) -> None:
        while data := await carried.reader.read(65536):
            if b"\r\nupgrade: websocket\r\n" in data.lower():
                carried.writer.write(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                carried.writer.close()
                break
            carried.send_up(data)
        carried.up_writer.close()


def test_a_proxy_that_refuses_upgrades_is_got_around(server_url: str) -> None:
    @contextlib.asynccontextmanager
    async def proxied() -> AsyncIterator[str]:
        async with RefusesUpgrades(server_url).listening() as url:
            yield url

    async def look(page: Page) -> None:
        async with proxied() as url:
            await page.goto(url)
            await start(page, PACED)
            await ended(page)
            assert (await state(page)).startswith("sse")
            assert await page.text_content("#answer") == WHOLE
            await page.goto("about:blank")

    in_browser(server_url, look)


def test_a_reader_of_chinese_is_spoken_to_in_chinese(server_url: str) -> None:
    async def look(page: Page) -> None:
        await page.click("#language")
        assert await page.evaluate("document.documentElement.lang") == "zh-CN"
        assert await page.title() == "Runwire 演练场"
        await page.reload()
        assert await page.input_value("#prompt") == "什么是人工智能？什么是运行？"
        await page.fill("#prompt", "先问我，再委托：什么是智能体？")
        await page.focus("#prompt")
        await page.keyboard.press("Enter")
        await page.click("#steps .input >> text=是", timeout=patience(20_000))
        await ended(page)
        assert "智能体是一个分多步处理提示词的程序" in await page.inner_text("#answer")
        assert (await page.inner_text("#end")).startswith("已完成")
        assert "图书管理员说" in await page.inner_text("#steps > .tool:last-child")
        assert "librarian" in await page.inner_text("#steps > .tool .thinking .agent")

    in_browser(server_url, look)


def test_the_page_works_by_keyboard_and_names_its_parts(server_url: str) -> None:
    async def look(page: Page) -> None:
        await page.fill("#prompt", ENDLESS)
        await page.keyboard.press("Enter")
        await answered(page, 3)
        await page.keyboard.press("Escape")
        await ended(page)
        assert (await page.inner_text("#end")).startswith("cancelled:")
        for role, name in (
            ("textbox", "Prompt"),
            ("button", "Start"),
            ("button", "Stop"),
            ("region", "Answer"),
        ):
            await expect(page.get_by_role(role, name=name, exact=True)).to_have_count(1)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": 360, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360

    in_browser(server_url, look)
