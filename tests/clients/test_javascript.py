"""The JavaScript client: its own tests in Node and in Chromium, its package, and the copy in the playground."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.browsers import in_browser
from tests.support.npm_stand import installed
from tests.support.patience import patience
from tests.support.programs import require_program

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/javascript"
COPY = ROOT / "reference_server/runwire_reference_server/playground/runwire"


@pytest.fixture(scope="module")
def node() -> str:
    return require_program("node", apt="nodejs")


@pytest.mark.whole
def test_it_keeps_the_rules_in_node(node: str) -> None:
    command = [node, "--experimental-websocket", "--test"]
    result = subprocess.run(
        command, cwd=CLIENT, capture_output=True, text=True, timeout=patience(300), check=False
    )

    assert result.returncode == 0, "\n".join(
        re.findall(r"^ *not ok.*(?:\n.*){12}", result.stdout, re.MULTILINE)
    )
    assert "# fail 0" in result.stdout


@pytest.mark.whole
def test_it_keeps_the_rules_in_a_browser(node: str) -> None:
    with subprocess.Popen(
        [node, "tests/in_browser.js"], cwd=CLIENT, stdout=subprocess.PIPE, text=True
    ) as stands:
        assert stands.stdout is not None

        async def look(page: Page) -> None:
            await expect(page).to_have_title("played", timeout=patience(200_000))

        in_browser(stands.stdout.readline().strip(), look)
        played = stands.stdout.read()

    assert stands.returncode == 0, played
    assert played.count("ok ") > 50


def test_the_playground_serves_the_same_files() -> None:
    ours = {path.name: path.read_bytes() for path in (CLIENT / "src").glob("*.js")}
    copied = {path.name: path.read_bytes() for path in COPY.glob("*")}

    assert copied == ours, "run: make generate"


@pytest.mark.whole
def test_the_package_can_be_installed(node: str, tmp_path: Path) -> None:
    npm = require_program("npm", apt="npm")
    packed = subprocess.run(
        [npm, "pack", "--json", "--pack-destination", tmp_path],
        cwd=CLIENT, capture_output=True, text=True, timeout=patience(120), check=True,
    )  # fmt: skip
    (archive,) = tmp_path.glob("runwire-*.tgz")
    names = {entry["path"] for entry in json.loads(packed.stdout)[0]["files"]}
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "node_modules", filter="data")
    (tmp_path / "node_modules/package").rename(tmp_path / "node_modules/runwire")
    code = 'import { Run, RunwireError } from "runwire"; console.log(typeof Run, new RunwireError("x").code);'
    (tmp_path / "user.mjs").write_text(code)
    used = subprocess.run(
        [node, "user.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=patience(60), check=False
    )

    assert used.stdout.split() == ["function", "internal"], used.stderr
    assert names >= {"LICENSE", "README.md", "package.json", "src/runwire.js", "types/runwire.d.ts"}
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.whole
def test_the_types_say_what_a_user_may_write(node: str, tmp_path: Path) -> None:
    compiler = installed("typescript@5") / "typescript/bin/tsc"
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/runwire").symlink_to(CLIENT)
    (tmp_path / "types.ts").write_bytes((CLIENT / "tests/types.ts").read_bytes())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    result = subprocess.run(
        [node, compiler, *options, "types.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(300),
        check=False,
    )

    assert result.returncode == 0, result.stdout


def test_the_types_name_what_the_module_has(node: str) -> None:
    code = """
      import * as client from "./src/runwire.js";
      const names = Object.keys(Object.getOwnPropertyDescriptors(client.Run.prototype));
      const own = Object.keys(new client.Run(null, { discovery: "ws://127.0.0.1:9/x", runId: "x".repeat(22) }));
      console.log(JSON.stringify([Object.keys(client), [...names, ...own]]));
      process.exit();
    """
    told = subprocess.run(
        [node, "--input-type=module", "--eval", code],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=True,
    )
    exported, members = json.loads(told.stdout)
    types = (CLIENT / "types/runwire.d.ts").read_text(encoding="utf-8")
    declared = re.findall(r"^export class (\w+)", types, re.MULTILINE)
    run = types.partition("export class Run extends")[2]

    assert sorted(exported) == sorted(declared)
    assert sorted(set(members) - {"constructor"}) == sorted(
        {*re.findall(r"^  (?:readonly )?(\w+)[:(]", run, re.MULTILINE)}
        - {"constructor", "addEventListener", "removeEventListener"}
    )


@pytest.mark.whole
def test_the_stock_client_of_ag_ui_returns_and_stops(node: str, tmp_path: Path) -> None:
    modules = installed("@ag-ui/client@1.0.0")
    for folder in ("src", "tests"):
        shutil.copytree(CLIENT / folder, tmp_path / folder)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(modules)
    script = [node, "tests/stock_ag_ui.js"]
    told = subprocess.run(
        script, cwd=tmp_path, capture_output=True, text=True, timeout=patience(120), check=False
    )
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout.splitlines()[-1])

    assert seen["alone"]["text"] != seen["whole"]
    assert seen["returns"] == {"text": seen["whole"], "failed": False, "starts": 1}
    assert seen["stops"] == ["/slow/r/cancel"]
