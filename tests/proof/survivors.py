"""Flaws that the judge does not blame yet, each under its reason. The lists may only become shorter."""

from __future__ import annotations

THE_CASES_DO_NOT_SHOW_IT: tuple[str, ...] = (
    "connections_end_after_three_seconds",
    "queued_time_is_counted",
    "runs_of_leavers_leak",
)
"""The cases of the requirement pass: they do not bring the situation about, or do not look at it."""

OTHERS_ARE_BLAMED_TOO: tuple[str, ...] = ("accepted_posts_have_no_body", "two_messages_in_one_frame")
"""It is blamed, and so are sentences that it does not break."""

SURVIVORS = frozenset((*THE_CASES_DO_NOT_SHOW_IT, *OTHERS_ARE_BLAMED_TOO))
"""All of them."""
