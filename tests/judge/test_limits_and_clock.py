"""The times a server is judged by: its limits."""

from __future__ import annotations

import math

import pytest

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


@pytest.mark.parametrize(
    "value", [1e300, -1e300, math.inf, -math.inf, math.nan, 10**400, True, "9", None, [9]]
)
def test_what_is_no_usable_number_is_no_limit(value: object) -> None:
    assert Limits({"idle_s": value})["idle_s"] == Limits({})["idle_s"]


@pytest.mark.parametrize("value", [0, 0.5, -1, 1e299])
def test_any_other_number_is_a_limit_as_it_was_advertised(value: float) -> None:
    assert Limits({"idle_s": value})["idle_s"] == value


@pytest.mark.parametrize(
    ("advertised", "seconds"),
    [
        ({}, math.inf),
        ({"stream_s": 60}, 60.0),
        ({"stream_s": 0.5}, 0.5),
        ({"stream_s": 0}, math.inf),
        ({"stream_s": -1}, math.inf),
        ({"stream_s": 1e299}, 1e299),
        ({"stream_s": 1e300}, math.inf),
        ({"stream_s": 10**400}, math.inf),
        ({"stream_s": math.nan}, math.inf),
        ({"stream_s": True}, math.inf),
        ({"stream_s": "60"}, math.inf),
        ({"idle_s": 60}, math.inf),
    ],
)
def test_a_stream_ends_for_its_age_only_where_that_was_advertised(
    advertised: dict[str, object], seconds: float
) -> None:
    assert Limits(advertised).stream_s == seconds


def test_a_server_that_is_busy_is_told_which_limits_to_raise() -> None:
    limits = Limits({"runs_per_principal": 2, "kept_bytes_per_principal": 1.5})

    assert limits.remedy("runs_per_principal") == (
        "raise runs_per_principal (advertised 2), or wait until what others began has ended"
    )
    assert limits.remedy("runs_per_principal", "kept_bytes_per_principal") == (
        "raise runs_per_principal (advertised 2) or kept_bytes_per_principal (advertised 1.5), "
        "or wait until what others began has ended"
    )
