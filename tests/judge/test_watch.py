"""`runwire check --watch` plays again when the server comes back, and first what failed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from runwire_conformance.cli import watch
from tests.support.patience import tries


class Doorbell:
    """Something that listens on one port when it is told to."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        with socket.create_server(("127.0.0.1", 0)) as first:
            self.port: int = first.getsockname()[1]

    def open(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=100)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@pytest.fixture
def server() -> Iterator[Doorbell]:
    """A server that can go and come back."""
    bell = Doorbell()
    bell.open()
    yield bell
    bell.close()


def test_it_plays_again_after_each_return_and_what_failed_first(
    server: Doorbell, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    codes = iter([1, 0, 0])

    def judged(command: Sequence[str]) -> int:
        calls.append(list(command[len(watch.JUDGE) :]))
        return next(codes)

    monkeypatch.setattr(watch, "judged", judged)
    url = f"http://127.0.0.1:{server.port}"
    ended: list[int] = []
    words = ["check", url, "--watch", "--", "-v"]
    thread = threading.Thread(target=lambda: ended.append(watch.watched(url, words, rounds=3)), daemon=True)
    thread.start()
    for count in (1, 2):
        for _ in tries(10, 0.02):
            if len(calls) == count:
                break
            time.sleep(0.02)
        assert len(calls) == count
        server.close()
        time.sleep(4 * watch.LOOK_S)
        assert len(calls) == count
        server.open()
    for _ in tries(10, 0.02):
        if ended:
            break
        time.sleep(0.02)

    assert ended == [0]
    assert calls == [
        ["check", url, "--", "-v"],
        ["check", url, "--lf", "--", "-v"],
        ["check", url, "--", "-v"],
    ]


def test_a_wrong_call_is_not_played_twice(server: Doorbell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "judged", lambda _: 2)

    assert watch.watched(f"http://127.0.0.1:{server.port}", ["check"]) == 2


def test_without_a_url_nothing_is_played() -> None:
    with pytest.raises(ValueError):
        watch.watched("", ["check", "--watch"])
