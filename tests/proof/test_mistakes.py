"""Mistakes as people make them, in the Node server: the report names the one sentence that was broken, and it first."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.flaws.stand import listening
from tests.proof.good_servers import FOLDER, GOOD_SERVERS, prepare
from tests.support.basic_servers import PATIENCE_S
from tests.support.check_reference_server import CHECK_LIMITS
from tests.support.programs import require_program

pytestmark = pytest.mark.whole

NODE = next(good for good in GOOD_SERVERS if good.name == "node")

#: Requirements that may be accused for one mistake.
MOST_ACCUSED = 3

#: By the mistake: the requirement to be named first, words of its reason, and what is written instead of what, by file.
MISTAKES: dict[str, tuple[str, str, tuple[tuple[str, str, str], ...]]] = {
    "one type of event has no seq": (
        "RUN-27",
        "thinking has no seq",
        (
            (
                "run.js",
                "JSON.stringify({ type, run_id: this.id, seq: this.log.length + 1, ...rest })",
                "JSON.stringify({ type, run_id: this.id, "
                '...(type !== "thinking" && { seq: this.log.length + 1 }), ...rest })',
            ),
        ),
    ),
    "done comes after error": (
        "RUN-4",
        "after the error",
        (
            (
                "run.js",
                "    this.#commit(this.#line({ ...terminal, ...state, trace_id: this.traceId }));\n",
                "    const rest = { trace_id: this.traceId };\n"
                "    this.#commit(this.#line({ ...terminal, ...state, ...rest }));\n"
                '    const done = { type: "done", data: "generation completed", status: "completed", ...rest };\n'
                '    if (terminal.type === "error") this.#commit(this.#line(done));\n',
            ),
        ),
    ),
    "a cancel is heeded between steps": (
        "CANCEL-2",
        "between agent steps",
        (
            (
                "run.js",
                "    this.cancelledAt = performance.now();\n"
                '    this.end("cancelled", { type: "done", data: "cancelled", reason });\n',
                "    this.cancelledAt ??= performance.now();\n"
                '    this.heed = () => this.end("cancelled", { type: "done", data: "cancelled", reason });\n'
                '    if (this.status === "queued") this.heed();\n',
            ),
            (
                "script.js",
                "      if (run.finished) throw new Ended();\n",
                "      run.heed?.();\n      if (run.finished) throw new Ended();\n",
            ),
        ),
    ),
}


def mistaken(folder: Path, changes: tuple[tuple[str, str, str], ...]) -> Path:
    """Write the Node server with these changes into a folder, and return what starts it."""
    original = FOLDER / "node_server"
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(original / "node_modules")
    for name, old, new in changes:
        text = (folder / name).read_text()
        assert text.count(old) == 1, f"{name} holds {text.count(old)} times: {old}"
        (folder / name).write_text(text.replace(old, new))
    return folder / "server.js"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_explained_by_the_sentence_it_breaks(mistake: str, tmp_path: Path) -> None:
    for program, apt in NODE.programs:
        require_program(program, apt)
    requirement, words, changes = MISTAKES[mistake]
    prepare(NODE)
    program = mistaken(tmp_path, changes)

    async def run() -> Verdicts:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in CHECK_LIMITS.items()]
        server = await listening(["node", str(program), "--port=0", *options])
        try:
            return await judge(server.url, [f"--patience={PATIENCE_S}"])
        finally:
            await server.stop()

    verdicts = asyncio.run(run())

    assert verdicts.exit_code == 1, verdicts.output[-3000:]
    assert len(verdicts.blames) <= MOST_ACCUSED, verdicts.blamed
    assert verdicts.output.splitlines()[1].strip().startswith(f"[{requirement}]"), verdicts.output[:1000]
    assert any(words in reason for reason in verdicts.blames[0].reasons), verdicts.blames[0].reasons
