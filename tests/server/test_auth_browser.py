"""Pages in a real browser that have a token and cannot set headers: the subprotocol, the ticket, and why it failed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support.auth_stand import ALICE, Stand, served, token_options
from tests.support.browsers import in_browser, served_page

pytestmark = pytest.mark.whole

PAGE = """<!doctype html><meta charset="utf-8"><title>credentials</title>
<script>
  const api = "%s", socketUrl = api.replace("http", "ws") + "/ws/generate";
  const asked = { method: "POST", body: "{}" };
  const headers = (token) => ({ Authorization: "Bearer " + token, "Content-Type": "application/json" });
  const base64url = (text) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const opened = (url, subprotocols) => new Promise((resolve) => {
    const socket = new WebSocket(url, subprotocols);
    socket.onmessage = ({ data }) => { resolve([JSON.parse(data).type, socket.protocol]); socket.close(); };
    socket.onerror = () => resolve(["failed", ""]);
  });
  const ticket = async (token) => {
    const answer = await fetch(api + "/v1/tickets", { ...asked, headers: headers(token) });
    return answer.ok ? (await answer.json()).ticket : answer.status + " " + answer.headers.get("WWW-Authenticate");
  };
  const why = async (token) => (await fetch(api + "/.well-known/runwire", { headers: headers(token) })).status;
</script>
"""


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with served(tmp_path, *token_options(tmp_path)) as running:
        yield running


def in_page(stand: Stand, tmp_path: Path, *calls: str) -> list[Any]:
    """Return what the calls evaluate to in a page from another origin."""
    found = []

    async def look(page: Page) -> None:
        found.extend([await page.evaluate(call) for call in calls])

    with served_page(tmp_path / "page", PAGE % stand.url) as url:
        in_browser(url, look)
    return found


def test_a_page_comes_in_with_a_token_or_a_ticket_and_learns_why_it_does_not(
    stand: Stand, tmp_path: Path
) -> None:
    good, bad = json.dumps(ALICE), json.dumps("nobody-knows-this-token")
    by_ticket = f"ticket({good}).then(async (t) => [await opened(socketUrl + '?ticket=' + t), "
    by_ticket += "await opened(socketUrl + '?ticket=' + t)])"

    results = in_page(
        stand,
        tmp_path,
        f"opened(socketUrl, ['runwire.v1', 'bearer.' + base64url({good})])",
        f"opened(socketUrl, ['runwire.v1', 'bearer.' + base64url({bad})])",
        "opened(socketUrl)",
        by_ticket,
        f"ticket({bad})",
        f"why({good})",
        f"why({bad})",
    )

    assert results == [
        ["ready", "runwire.v1"],
        ["failed", ""],
        ["failed", ""],
        [["ready", ""], ["failed", ""]],
        '401 Bearer realm="runwire", error="invalid_token"',
        200,
        401,
    ]
