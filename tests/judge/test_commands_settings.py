"""`runwire.toml` holds for `try`, `load` and `record` as it does for `check`, with the same complaints."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from runwire_conformance.cli.shared.connection import named, reached
from runwire_conformance.client.target import Options
from tests.support.commands import runwire


def called(
    url: str = "", token: str = "", headers: tuple[str, ...] = (), config: str = ""
) -> tuple[str, Options]:
    """Return what a call in the working directory comes to."""
    return reached("try", url, token, list(headers), "", config)


def test_the_file_tells_the_server_and_how_it_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "s3cret")
    Path("runwire.toml").write_text('[target]\nurl = "http://a"\ntoken = "${SECRET}"\nheaders = ["X-A: 1"]\n')

    assert called()[0] == "http://a"
    assert called()[1].sent_headers == (("Authorization", "Bearer s3cret"), ("X-A", "1"))


def test_the_call_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.toml").write_text('[target]\nurl = "http://a"\ntoken = "t1"\nheaders = ["X-A: 1"]\n')

    url, options = called("http://b", "t2", ("X-B: 2",), "other.toml")

    assert (url, options.token, options.headers) == ("http://b", "t2", (("X-A", "1"), ("X-B", "2")))


@pytest.mark.parametrize(
    ("text", "call", "words"),
    [
        ('[target]\ntokn = "x"\n', {}, "runwire.toml:2: [target] has no key tokn"),
        ('[target]\nurl = "http://a"\ncafile = "none.pem"\n', {}, "none.pem: cannot read certificates"),
        ("", {}, "no server given: use `runwire try URL`, or set its URL in runwire.toml"),
        ("", {"url": "http://a", "token": "a b"}, "a token must not contain spaces"),
        ("", {"url": "http://a", "headers": ("nonsense",)}, "'Name: value'"),
        ("", {"url": "http://a", "config": "none.toml"}, "none.toml: No such file"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    call: dict[str, str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runwire.toml").write_text(text)

    with pytest.raises(typer.Exit) as ended:
        called(**call)  # type: ignore[arg-type]

    complaint = capsys.readouterr().err.strip()
    assert ended.value.exit_code == 2
    assert words in complaint and len(complaint.splitlines()) == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (("What is AI?", ""), ("", "What is AI?")),
        (("http://a", "x"), ("http://a", "x")),
        (("WS://a", ""), ("WS://a", "")),
        (("", ""), ("", "")),
    ],
)
def test_a_prompt_alone_is_for_the_server_of_the_file(said: tuple[str, str], meant: tuple[str, str]) -> None:
    assert named(*said) == meant


def test_try_and_load_need_no_url_beside_the_file(tmp_path: Path, server_url: str) -> None:
    (tmp_path / "runwire.toml").write_text(f'[target]\nurl = "{server_url}"\n')

    asked = runwire(tmp_path, "try", '{"runwire_script": [{"token": "Hello"}]}')
    loaded = runwire(tmp_path, "load", "-n", "2", "-c", "1")

    assert (asked.returncode, asked.stdout.strip()) == (0, "Hello"), asked.stderr
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
