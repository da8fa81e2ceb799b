"""One of several nodes, as far as the judge is told: a server that says it is a cluster."""

from __future__ import annotations

from .flaw import Describes
from .rewrite import Message


class Node(Describes):
    """Lists the feature `cluster`."""

    def described(self, description: Message) -> Message:
        return {**description, "features": sorted({*description["features"], "cluster"})}

    def described_ready(self, message: Message) -> Message:
        """Return a message as it goes out, `ready` with the feature."""
        return self.described(message) if message.get("type") == "ready" else message
