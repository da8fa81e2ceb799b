"""Flaws that the judge does not blame yet, each under its reason. The lists may only become shorter."""

from __future__ import annotations

THE_CASES_DO_NOT_SHOW_IT: tuple[str, ...] = ()
"""The cases of the requirement pass: they do not bring the situation about, or do not look at it."""

OTHERS_ARE_BLAMED_TOO: tuple[str, ...] = ()
"""It is blamed, and so are sentences that it does not break."""

SURVIVORS = frozenset((*THE_CASES_DO_NOT_SHOW_IT, *OTHERS_ARE_BLAMED_TOO))
"""All of them."""
