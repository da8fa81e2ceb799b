"""`runwire.toml`: what it may say, and that each mistake is named with its line and its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runwire_conformance.client.options.keys import TABLES
from runwire_conformance.settings import SettingsError, commented_settings, read_settings, tls_context


def written(folder: Path, text: str) -> Path:
    """Return the path of a `runwire.toml` with this text."""
    path = folder / "runwire.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_variables_of_the_environment_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret")

    settings = read_settings(written(tmp_path, '[target]\ntoken = "Bearer-${MY_TOKEN}"\nurl = "ws://a"\n'))

    assert settings == {"target": {"token": "Bearer-s3cret", "url": "ws://a"}}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ('[target]\nurl = "ws://a"\ntokn = "x"\n', 3, "tokn"),
        ("[target]\n\n[prompts]\nshort = 7\n", 4, "short"),
        ('[hooks]\n[targets]\nurl = "x"\n', 2, "[targets]"),
        ('url = "x"\n', 1, "url"),
        ('# token\n[target]\ntoken = "${NOT_SET_AT_ALL}"\n', 3, "NOT_SET_AT_ALL"),
        ('[target]\nurl = "unclosed\n', 2, ""),
        ('[hooks]\nurls = "http://b"\n', 2, "list of strings"),
        ('[hooks]\nurls = ["http://b", 7]\n', 2, "list of strings"),
        ('[hooks]\nurls = ["node-b:8080"]\n', 2, "base URLs such as http://node-b:8080"),
        ('[hooks]\norigin = "https://app.example/page"\n', 2, "an origin such as"),
        ('[hooks]\ncookie = "session"\n', 2, "name=value"),
        ('[hooks]\nother_token = "two words"\n', 2, "without spaces"),
        ('[target]\nheaders = ["X-Tenant"]\n', 2, "'Name: value'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, word: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(SettingsError) as problem:
        read_settings(path)

    said = str(problem.value)
    assert said.startswith(str(path))
    assert f":{line}:" in said or f"line {line}" in said
    assert word in said
    assert "\n" not in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: No such file"):
        read_settings(tmp_path / "none.toml")


def test_lists_are_read_and_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE", "http://b:1")
    text = '[target]\nheaders = ["X-Tenant: a"]\n[hooks]\nurls = ["${NODE}", "https://c/"]\n'

    settings = read_settings(written(tmp_path, text))

    assert settings == {
        "target": {"headers": ["X-Tenant: a"]},
        "hooks": {"urls": ["http://b:1", "https://c/"]},
    }


def test_a_value_is_not_shown_in_a_complaint(tmp_path: Path) -> None:
    for text in (
        '[target]\ntoken = ["s3cret"]\n',
        '[hooks]\ncookie = "a=s3cret; b"\n',
        '[target]\ntoken = "s3cret é"\n',
    ):
        path = written(tmp_path, text)

        with pytest.raises(SettingsError) as problem:
            read_settings(path)

        assert "s3cret" not in str(problem.value)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.touch()

    for path in (empty, tmp_path / "none.pem"):
        with pytest.raises(SettingsError, match=path.name):
            tls_context(str(path))


def test_a_first_file_says_nothing_but_the_url(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, commented_settings())) == {}
    assert read_settings(written(tmp_path, commented_settings("ws://a"))) == {"target": {"url": "ws://a"}}


def test_a_first_file_has_every_key_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub(r"(?m)^#(?=\w)", "", commented_settings())
    for name in re.findall(r"\$\{(\w+)\}", text.replace("${NAME}", "")):
        monkeypatch.setenv(name, "x")

    settings = read_settings(written(tmp_path, text))

    assert {name: set(keys) for name, keys in settings.items()} == {
        name: set(table.keys) for name, table in TABLES.items()
    }
