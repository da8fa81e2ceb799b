"""Flaws that break several sentences at once on the wire, so that the judge is free to name another one."""

SAME_BREACH: dict[str, tuple[str, ...]] = {
    "short_run_ids": ("MSG-3",),
    "dotted_run_ids": ("MSG-3",),
    "no_session_named": ("MSG-3",),
    "completed_after_cancelled": ("RUN-4", "RUN-5"),
    "two_readers_of_one_run": ("RUN-4", "RUN-28", "RESUME-10"),
    "known_run_runs_again": ("OBS-5",),
    "second_cancel_ends_again": ("RUN-4", "RUN-5"),
    "only_one_run_cancelled": ("CANCEL-3",),
    "done_with_a_status_of_its_own": ("MSG-3", "EVENT-23"),
    "failure_is_done": ("SCRIPT-3",),
    "reader_stays_where_it_is": ("RESUME-10",),
    "one_more_from_the_old_position": ("RESUME-10",),
    "next_seq_is_after": ("MSG-3", "RESUME-10"),
    "resumed_unsaid": ("RUN-28", "RUN-4"),
    "beginning_forgotten": ("RESUME-10",),
    "started_without_trace": ("MSG-3",),
    "invalid_traces_taken_over": ("MSG-3",),
    "heartbeats_answered_twice": ("MSG-30",),
    "posted_streams_without_started": ("RUN-3",),
    "large_results_end_the_run": ("EVENT-13", "RUN-4"),
    "laggards_skip": ("RUN-28",),
    "blocked_tool_speaks_late": ("RUN-5",),
}
"""By the name of the flaw: the other requirements it may be blamed for in its requirement's own cases."""
