"""The own clients keep every requirement: in Node, in Chromium, in Python and in Go; one of them on every change."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.proof.clients.good import GOOD_CLIENTS, LIBRARIES, ROOT, GoodClient
from tests.support.browsers import FLAGS
from tests.support.npm_stand import installed
from tests.support.patience import patience
from tests.support.programs import require_program

RUNWIRE = str(Path(sys.executable).parent / "runwire")
CLAIMED = {
    "watches": "conformant",
    "cancels": "conformant",
    "resumes": "conformant",
    "falls_back": "conformant",
}


def judged(report: Path, *words: str, **more: str) -> tuple[int, dict[str, str], str]:
    """Judge a client; return exit code, standings and output."""
    command = [RUNWIRE, "check-client", "--json", str(report), *words]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True,
        timeout=patience(400), check=False,
    )  # fmt: skip
    document = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"classes": []}
    standings = {entry["class"]: entry["standing"] for entry in document["classes"]}
    return ended.returncode, standings, ended.stdout + ended.stderr


@pytest.mark.whole
@pytest.mark.parametrize("client", GOOD_CLIENTS, ids=lambda client: client.name)
def test_an_own_client_conforms_to_all_that_it_claims(client: GoodClient, tmp_path: Path) -> None:
    if client.program:
        require_program(client.program, apt={"node": "nodejs", "go": "golang-go"}[client.program])

    code, standings, said = judged(tmp_path / "report.json", *client.options, "--", *client.command())

    assert (code, standings) == (0, CLAIMED), said


def test_the_javascript_client_keeps_what_a_few_scenarios_show(tmp_path: Path) -> None:
    require_program("node", apt="nodejs")
    few = "--requirement=RESUME-20,RESUME-21,EVENT-6,CLOSE-6"

    code, _, said = judged(tmp_path / "report.json", "--claim=all", few, "--", *GOOD_CLIENTS[0].command())

    assert code == 0, said


@pytest.mark.whole
@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_a_library_shows_what_it_cannot_do(library: GoodClient, tmp_path: Path) -> None:
    require_program("node", apt="nodejs")
    modules = str(installed(library.package))

    code, standings, said = judged(
        tmp_path / "report.json", *library.options, "--", *library.command(), RUNWIRE_MODULES=modules
    )

    assert (code, standings["resumes"]) == (1, "not conformant"), said


@pytest.fixture
def pages() -> Iterator[str]:
    """The files of this repository, served from localhost."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(ROOT))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.whole
def test_the_javascript_client_conforms_in_a_browser(pages: str, tmp_path: Path) -> None:
    chromium = require_program("chromium", apt="chromium")
    words = [
        RUNWIRE,
        "check-client",
        "--listen",
        "--port",
        "0",
        "--claim",
        "all",
        "--json",
        tmp_path / "report.json",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as judge:
        assert judge.stdout is not None
        desk = re.search(r"http://[\d.:]+", judge.stdout.readline())
        assert desk is not None

        async def look() -> None:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                for _ in range(4):
                    page = await (await browser.new_context()).new_page()
                    await page.goto(f"{pages}/tests/proof/good_clients/page.html?desk={desk[0]}")
                await asyncio.to_thread(judge.wait)
                await browser.close()

        reading = threading.Thread(target=judge.stdout.read, daemon=True)
        reading.start()
        asyncio.run(look())
        reading.join()

    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert judge.returncode == 0, [
        entry["id"] for entry in document["requirements"] if entry["verdict"] == "fail"
    ]
    assert {entry["class"]: entry["standing"] for entry in document["classes"]} == CLAIMED
