"""Flaws that show seldom: once in a while, or on one transport alone."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import random
from collections.abc import Iterable

from tests.proof.flaws.flaw import flaw, says
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_terminal

HUNDRED = 100
"""Runs that show the share in which a flaw that acts at random is caught."""


@flaw("RUN-28", runs=HUNDRED)
class OneTokenInFiftyIsLost(Rewrite):
    """One token in fifty is lost, whichever it is."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = random.Random()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") != "token" or self.chance.random() >= 1 / 50:
            yield message


@says("RUN-4")
def streams_end_twice(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """On event streams alone, a run has its terminal event twice."""
    yield message
    if is_terminal(message) and link.is_stream:
        yield message
