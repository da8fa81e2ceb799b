"""Flaws that the judge does not blame yet, each under its reason. The lists may only become shorter."""

from __future__ import annotations

THE_CASES_DO_NOT_SHOW_IT = (
    "accepted_under_another_name",
    "posted_policies_not_checked",
    "resume_listed_and_not_served",
    "refused_starts_run",
    "refused_clients_told_to_stop",
    "thinking_is_answer_text",
    "partial_observations_are_answer_text",
    "pairs_divided",
    "laggards_dropped",
    "starters_leaving",
    "one_slow_reader_slows_all",
    "heartbeats_without_type",
    "new_runs_are_an_internal_error",
    "draining_servers_fall_silent",
    "replay_for_everybody",
    "merged_without_first_seq",
    "merged_across_the_cursor",
    "thoughts_of_two_agents_merged",
    "calls_merged",
    "tokens_merged_into_replace",
    "replayed_backwards",
    "log_kept_for_a_second",
)
"""The cases of the requirement pass: they do not bring the situation about, or do not look at it."""

ANOTHER_IS_NAMED = (
    "origin_demanded",
    "origin_demanded_of_handshakes",
)
"""The judge names another requirement, and says of this one that it could not be told."""

NOT_JUDGED = ("discovery_asks_for_credentials",)
"""The judge takes the server for one that cannot be judged, exit code 2."""

SURVIVORS = frozenset({*THE_CASES_DO_NOT_SHOW_IT, *ANOTHER_IS_NAMED, *NOT_JUDGED})
"""All of them."""
