"""All flawed clients."""

from tests.proof.clients import flaws_by_kind, flaws_that_got_by
from tests.proof.clients.flaws import FLAWS, Flaw

__all__ = ["FLAWS", "Flaw", "flaws_by_kind", "flaws_that_got_by"]
