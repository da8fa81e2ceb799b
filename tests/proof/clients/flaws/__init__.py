"""Flawed clients: each is the careful one with one behaviour replaced, and breaks the requirement that it names.

`related` are sentences that the same behaviour breaks as well; blame beyond both is a false accusation.
"""

from tests.proof.clients.flaws import by_kind, errors, events, got_by, http, messages, resuming
from tests.proof.clients.flaws.entering import FLAWS, Flaw

__all__ = ["FLAWS", "Flaw", "by_kind", "errors", "events", "got_by", "http", "messages", "resuming"]
