"""Flaws of chapter 7: how a reader is told how far the log goes."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.proof.flaws.flaw import says
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite


def _changes_last_seq(name: str, change: Callable[[Message, Link], object], description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "resumed":
            yield {**message, "last_seq": change(message, link)}
        else:
            yield message

    server_message.__name__, server_message.__doc__ = name, description
    says("RESUME-28")(server_message)


_changes_last_seq(
    "last_seq_is_the_cursor", lambda m, _: m["next_seq"] - 1, "`last_seq` is the cursor that was asked for."
)
_changes_last_seq("last_seq_is_the_next", lambda m, _: m["last_seq"] + 1, "`last_seq` is one too high.")
_changes_last_seq(
    "last_seq_of_streams_is_zero",
    lambda m, link: 0 if link.is_stream else m["last_seq"],
    "On streams `last_seq` is 0.",
)


@says("RESUME-28")
def last_seq_of_live_runs_left_out(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`resumed` of an unfinished run has no `last_seq`."""
    live = message.get("type") == "resumed" and message["status"] in {"queued", "running", "waiting"}
    yield {name: value for name, value in message.items() if name != "last_seq"} if live else message
