"""What a flaw breaks besides its own requirement, so that the judge is right to name that too."""

STOPPED = ("BEAT-1", "BEAT-3", "CLOSE-2", "LIMIT-18")
"""What a server that stops breaks besides: it is silent, answers late, and breaks connections off."""

RELATED: dict[str, tuple[str, ...]] = {
    # What is left out is missed by the schema, too.
    "forms_without_schema": ("MSG-3",),
    "ready_without_trace": ("MSG-3",),
    "requests_expire_in_local_time": ("MSG-3",),
    "requests_without_end": ("MSG-3",),
    "resumed_without_trace": ("MSG-3",),
    "tool_delta_without_call_id": ("MSG-3",),
    # Whoever says less is silent for longer.
    "no_heartbeats_after_the_run": ("BEAT-1",),
    "no_heartbeats_after_a_cancel": ("BEAT-1",),
    "no_heartbeats_during_runs": ("BEAT-1",),
    "no_heartbeats_in_a_call": ("BEAT-1",),
    "no_heartbeats_while_blocked": ("BEAT-1",),
    "no_heartbeats_while_queued": ("BEAT-1",),
    "no_heartbeats_while_waiting": ("BEAT-1",),
    "one_slow_reader_slows_all": ("BEAT-1",),
    "ready_only_when_spoken_to": ("BEAT-3",),
    # What may be stored is stored, streams too.
    "streams_may_be_stored": ("HTTP-13",),
    "streams_may_be_stored_behind_nginx": ("HTTP-13",),
    # Whoever refuses at once may do so before an earlier start is answered.
    "one_run_a_connection": ("MSG-31",),
    # Whoever reads something else after coming back is not told what comes behind the cursor.
    "replay_forgets_thinking": ("RESUME-10",),
    # A server that stops is silent, and answers late.
    "quotes_are_read_again_and_again": ("BEAT-1", "BEAT-3"),
    "nesting_stops_the_server": STOPPED,
    "digits_stop_the_server": STOPPED,
    "members_stop_the_server": STOPPED,
    "largest_prompts_stop_the_server": STOPPED,
    "pings_stop_the_server": STOPPED,
    "pongs_stop_the_server": STOPPED,
    "heartbeats_stop_the_server": STOPPED,
    "replays_stop_the_server": STOPPED,
    "repeated_starts_stop_the_server": STOPPED,
    "streams_of_one_run_stop_the_server": STOPPED,
    "readers_that_take_nothing_stop_the_server": STOPPED,
    "half_sent_requests_stop_the_server": STOPPED,
    "small_chunks_stop_the_server": STOPPED,
    "patterns_stop_the_server": STOPPED,
    # An `re` that was changed is one that nobody gave.
    "characters_cut_at_a_frame_are_garbled": ("MSG-29",),
    "ids_repeated_in_streams": ("MSG-29",),
    "long_ids_accepted": ("MSG-29",),
    "numbers_for_ids_repeated": ("MSG-29",),
    "re_cut_to_32": ("MSG-29",),
    # An error with a number is an event, and lacks what events have.
    "refusals_have_a_number": ("MSG-29", "RUN-27", "OBS-1"),
    # What is said after a cancel is said too late, and after the end is said too much.
    "blocked_tool_is_waited_for": ("CANCEL-3",),
    "blocked_tool_thinks_late": ("RUN-5",),
    "queued_run_is_not_cancelled": ("CANCEL-3",),
    "resumed_runs_not_cancelled": ("CANCEL-3",),
    "cancelled_between_tools_completes": ("EVENT-13",),
    "cancelled_is_completed": ("EVENT-13",),
    "fenced_tool_speaks_after_the_end": ("CANCEL-4",),
    "late_thinking": ("CANCEL-4",),
    "token_after_the_end": ("CANCEL-4",),
    # Whoever refuses a text after twelve seconds stops its own reader, too.
    "costly_texts_are_refused_late": ("LIMIT-17",),
    # A refusal by who stands between comes before the answers to what was sent earlier.
    "runs_of_leavers_leak": ("MSG-31",),
    "replays_keep_starts_away": ("MSG-31",),
    # A wrong log is wrong for whoever resumes it.
    "a_number_left_out": ("RESUME-10",),
    "a_number_used_twice": ("RESUME-10",),
    "empty_thought_uncounted": ("RESUME-10",),
    "live_streams_miss_the_first_event": ("RESUME-10",),
    "joined_where_it_stands": ("RESUME-10",),
    "numbered_from_zero": ("MSG-3", "RESUME-10"),
    "repeated_answers_close_again": ("RUN-28",),
    "repeated_posts_stream_the_end": ("RESUME-10",),
    "seam_lost_on_streams": ("RESUME-10",),
    "second_reader_reads_other_text": ("RESUME-10",),
    "second_run_counts_on": ("RESUME-10",),
    "line_ends_made_one": ("SSE-14", "SSE-21"),
    "streams_tell_less": ("SSE-21",),
    "cancelled_streams_end_as_left": ("SSE-21",),
    "streams_tell_input_as_text": ("SSE-21",),
    # On streams the message that has to come first has a sentence of its own, too.
    "started_after_the_first_event": ("SSE-3", "RUN-1"),
    "accepted_without_started": ("SSE-3",),
    "failing_at_once_is_not_started": ("SSE-3",),
    "one_token_in_fifty_is_lost": ("RESUME-10",),
    "streams_count_started": ("RUN-28", "RESUME-10"),
    "streams_end_twice": ("RESUME-10", "RUN-28"),
    "streams_repeat_tokens": ("RUN-28", "EVENT-8", "RESUME-10"),
    # Calls and observations under wrong names, at wrong places or of wrong sizes do not pair, or do not fit.
    "large_calls_sent": ("EVENT-20",),
    "large_events_sent": ("EVENT-18",),
    "neighbours_swapped": ("EVENT-10",),
    "observation_of_no_call": ("EVENT-13",),
    "second_call_under_the_same_name": ("EVENT-11",),
    "streams_finish_partial_results": ("EVENT-11", "EVENT-14"),
    # What should have been refused is answered, with what was not asked for.
    "after_ignored": ("SSE-16",),
    "cursor_beyond_the_end": ("RESUME-9",),
    "empty_cursors_refused": ("SSE-5", "SSE-21"),
    "empty_headers_hide_the_query": ("SSE-5", "SSE-21"),
    "cursor_beyond_the_log": ("RESUME-9",),
    "long_ids_cut": ("RUN-36",),
    "unknown_run_is_empty": ("RESUME-9",),
    # A poll that is late for one reason is late for the other.
    "polls_take_their_time": ("POLL-4",),
    "one_tag_for_a_run": ("POLL-8",),
    "runs_have_no_tag": ("POLL-8",),
    # Without `resumed` one reading looks like the other going on.
    "resumed_unsaid": ("EVENT-8", "EVENT-11"),
    # A session other than the one that was asked for.
    "bad_session_ids_replaced": ("RUN-10",),
    "long_text_for_an_id_forgotten": ("RUN-10",),
    "session_id_not_compared": ("RUN-10",),
    "sessions_run_in_parallel": ("RUN-10",),
    # Two rules about one close or one message.
    "bad_frame_dropped": ("CLOSE-2",),
    "bad_json_closed_with_1007": ("MSG-8",),
    "bad_json_dropped": ("MSG-8", "CLOSE-2"),
    "drained_breaks_off": ("CLOSE-2",),
    "heartbeats_without_type": ("BEAT-5",),
    "starts_swallowed": ("RUN-3",),
    "places_leak": ("LIMIT-2", "LIMIT-3"),
    "nothing_follows_started": ("BEAT-1", "SSE-12"),
    "failure_with_an_unknown_code": ("SCRIPT-3",),
    "no_traces_at_all": ("MSG-3",),
    "streams_open_with_data": ("MSG-2", "SSE-3", "SSE-4"),
}
"""By the name of the flaw. Blame outside this table and SAME_BREACH is a false accusation, and fails the proof."""
