"""The times a server is judged by: its limits."""

from __future__ import annotations

from runwire_conformance.trace.limits import Limits


def test_a_limit_is_what_was_advertised_or_else_the_registry_s() -> None:
    limits = Limits({"heartbeat_s": 3, "pong_timeout_s": True, "cancel_quiet_ms": 250, "idle_s": "x"})
    plain = Limits({})

    assert (limits["heartbeat_s"], limits["pong_timeout_s"]) == (3.0, plain["pong_timeout_s"])
    assert limits["idle_s"] == plain["idle_s"]
    assert limits.seconds("cancel_quiet_ms") == 0.25
    assert limits.seconds("heartbeat_s") == 3.0
    assert Limits({"runs_per_connection": 2.0}).whole("runs_per_connection") == 2
    assert limits.silence == 5.0
    assert Limits({"heartbeat_s": 3, "pong_timeout_s": 2}).gives_up_after == 7.0
