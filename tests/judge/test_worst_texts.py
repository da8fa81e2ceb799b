"""Every reader of a stranger's JSON text takes time that grows with the text, and not with its square."""

import contextlib
import gc
import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runwire_conformance.case import Broken
from runwire_conformance.client.exposition import read_exposition
from runwire_conformance.client.wire.sse import EventReader
from runwire_conformance.rules.messages import faults_of
from runwire_conformance.tools import reading, validate
from runwire_conformance.tools.formats.recording import Unreadable
from runwire_conformance.trace.message import object_of, parsed
from runwire_conformance.trace.redaction import Redaction
from runwire_reference_server.agents import AgentError
from runwire_reference_server.agents.script import parse
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.transports.session import Session
from runwire_reference_server.transports.wire.strict_json import BadMessage, NotJson, read_object
from tests.proof.good_servers import FOLDER, SMALLEST
from tests.proof.good_servers.fastapi_server import messages as fastapi_messages
from tests.support.programs import require_program
from tests.support.worst_texts import WORST_TEXTS

SIZES = (4096, 262144)

#: How much more than in proportion the largest text may cost; its square would be 64 times too much.
PATIENCE = 16

#: A time that is too short to be compared.
LEAST_S = 0.002

#: How often a cost that looks too high is measured again; a square stays one, a busy machine passes.
TRIES = 5


def validated(text: str) -> None:
    """Have `runwire validate` read a file of this text."""
    try:
        content = reading._content("here", text)
    except Unreadable:
        return
    for problem in validate.judged(content).problems:
        str(problem)


def understood(text: str) -> None:
    """Have the FastAPI server read a message."""
    value, refusal = fastapi_messages.read(text, 32)
    if refusal is None:
        fastapi_messages.understand(value)


def the_smallest_server() -> Any:
    """Return the module of the tutorial."""
    spec = importlib.util.spec_from_file_location("smallest_server", SMALLEST)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


smallest = the_smallest_server()


def smallest_understood(text: str) -> None:
    """Have the smallest server read a message."""
    value, repeated = smallest.parsed(text)
    if isinstance(value, dict):
        smallest.understood(value, repeated)


READERS: Mapping[str, Callable[[str], Any]] = {
    "the server's reader": lambda text: read_object(text, 32),
    "the server's session": lambda text: Session(Settings(), "c", "0" * 32).receive(text),
    "the script agent": parse,
    "the judge's messages": parsed,
    "the judge's documents": lambda text: object_of(text, "a document"),
    "the judge's invariants": faults_of,
    "the judge's redaction": Redaction(["a secret", "[[[[", '"""']).masked,
    "the judge's streams": lambda text: EventReader().feed(b"data: " + text.encode() + b"\n\n"),
    "validate": validated,
    "the FastAPI server": understood,
    "the smallest server": smallest_understood,
}
REFUSALS = (
    NotJson,
    BadMessage,
    AgentError,
    Broken,
    Unreadable,
    fastapi_messages.NoMessage,
    fastapi_messages.Refusal,
    smallest.NoMessage,
    smallest.Refusal,
    ValueError,
    RecursionError,
)


def cost(reader: Callable[[str], Any], text: str) -> float:
    """Return the seconds of CPU that a text takes, the least of some trials."""
    trials = []
    gc.disable()  # what other tests left is not this reader's to sweep
    try:
        for _ in range(3):
            began = time.thread_time()
            with contextlib.suppress(*REFUSALS):
                reader(text)
            trials.append(time.thread_time() - began)
    finally:
        gc.enable()
    return min(trials)


def assert_linear(costs: Callable[[int], float]) -> None:
    """Fail when the largest text costs much more than in proportion to the smallest, each time it is tried."""
    smallest, largest = SIZES[0], SIZES[-1]
    factors = []
    for _ in range(TRIES):
        factors.append(costs(largest) / max(costs(smallest), LEAST_S) * smallest / largest)
        if factors[-1] < PATIENCE:
            return
    raise AssertionError(f"{largest} bytes cost {min(factors):.0f} times more than in proportion")


@pytest.mark.parametrize("text", WORST_TEXTS, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("reader", READERS, ids=lambda name: name.replace(" ", "-"))
def test_the_cost_of_a_text_grows_with_its_length(reader: str, text: str) -> None:
    assert_linear(lambda size: cost(READERS[reader], WORST_TEXTS[text](size)))


EXPOSITIONS: Mapping[str, Callable[[int], str]] = {
    "families": lambda size: "".join(f"m{n:07} 1\n" for n in range(size // 11)),
    "families with types": lambda size: "".join(
        f"# TYPE m{n:07} counter\nm{n:07}_total 1\n" for n in range(size // 42)
    ),
    "labels": lambda size: "m{" + ",".join(f'l{n:06}="x"' for n in range(size // 12)) + "} 1\n",
    "labels with spaces": lambda size: "m{" + ", ".join(f'l{n:06}="x"' for n in range(size // 13)) + "} 1\n",
    "a label that never ends": lambda size: 'm{l="' + '\\"' * (size // 2) + "\n",
    "braces": lambda size: "m{" + "} " * (size // 2) + "\n",
    "spaces": lambda size: "m" + " " * size + "\n",
    "comments": lambda size: "# HELP " * (size // 7) + "\n",
}


@pytest.mark.parametrize("text", EXPOSITIONS, ids=lambda name: name.replace(" ", "-"))
def test_the_cost_of_metrics_grows_with_their_length(text: str) -> None:
    assert_linear(lambda size: cost(read_exposition, EXPOSITIONS[text](size)))


#: Reads each text of each size as the Node server does, and prints the seconds that it took.
NODE = """
import { read, understand } from %s;
const cost = (text) => {
  const trials = [1, 2, 3].map(() => {
    const began = process.cpuUsage();
    try {
      const { value, wrong } = read(text);
      understand(value, wrong);
    } catch {}
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1e6;
  });
  return Math.min(...trials);
};
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const texts = JSON.parse(Buffer.concat(chunks).toString());
console.log(JSON.stringify(texts.map((sizes) => sizes.map(cost))));
"""


def test_the_cost_of_a_text_grows_with_its_length_in_node() -> None:
    node = require_program("node", apt="nodejs")
    messages = (FOLDER / "node_server/messages.js").as_uri()
    texts = [[text(size) for size in SIZES] for text in WORST_TEXTS.values()]

    done = subprocess.run(
        [node, "--input-type=module", "--eval", NODE % json.dumps(messages)],
        input=json.dumps(texts), capture_output=True, text=True, check=True,
    )  # fmt: skip

    for costs in json.loads(done.stdout):
        assert_linear(dict(zip(SIZES, costs, strict=True)).__getitem__)


def test_the_cost_of_a_text_grows_with_its_length_in_go(tmp_path: Path) -> None:
    go = require_program("go", apt="golang-go")
    texts = [[text(size) for size in SIZES] for text in WORST_TEXTS.values()]
    (tmp_path / "texts").write_text(json.dumps(texts))
    files = {"TEXTS": str(tmp_path / "texts"), "COSTS": str(tmp_path / "costs")}

    subprocess.run(
        [go, "test", "-count=1", "."], cwd=FOLDER / "go_server", env={**os.environ, **files}, check=True
    )

    for costs in json.loads((tmp_path / "costs").read_text()):
        assert_linear(dict(zip(SIZES, costs, strict=True)).__getitem__)
