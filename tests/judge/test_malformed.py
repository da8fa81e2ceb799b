"""What the judge sends as a hostile client is wrong indeed, covers every member, and is the same for the same seed."""

from __future__ import annotations

import pytest

from runwire_conformance.fuzz.malformed_messages import NO_UTF8, broken_frames, malformed_messages
from runwire_conformance.fuzz.malformed_requests import malformed_requests
from runwire_schemas import CLIENT_TYPES, client_message_violations, schema
from runwire_spec import catalogue

RUN = "r" * 22
FEATURES = frozenset({"resume", "sse", "input"})


def test_every_wrong_message_is_wrong() -> None:
    assert [
        wrong.reason for wrong in malformed_messages() if not client_message_violations(wrong.message)
    ] == []


def test_every_member_is_tried_but_those_that_name_the_answer() -> None:
    tried = {tuple(wrong.reason.split(" ")[:3:2]) for wrong in malformed_messages()}
    free = {("data", "input")}  # any JSON value

    for kind, name in CLIENT_TYPES.items():
        for member in set(schema(name)["properties"]) - {"type", "id"}:
            assert (member, kind) in tried or (member, kind) in free


@pytest.mark.parametrize("reason", NO_UTF8)
def test_no_utf8_is_no_utf8(reason: str) -> None:
    with pytest.raises(UnicodeDecodeError):
        NO_UTF8[reason].decode()


def test_broken_frames_differ() -> None:
    assert len(set(broken_frames().values())) == len(broken_frames())


def test_requests_are_drawn_by_the_seed_from_every_endpoint() -> None:
    first = list(malformed_requests(RUN, FEATURES, 1))

    assert first == list(malformed_requests(RUN, FEATURES, 1))
    assert first != list(malformed_requests(RUN, FEATURES, 2))
    assert {asked.requirement for asked in first} == {"HTTP-7", "HTTP-9", "HTTP-11", "HTTP-14", "SSE-16"}
    assert {asked.requirement for asked in first} <= set(catalogue())
    places = {asked.path.partition("?")[0] for asked in first if RUN in asked.path}
    assert places == {f"/v1/runs/{RUN}{end}" for end in ("", "/events", "/cancel", "/input")}


def test_inputs_are_left_alone_where_they_are_not_offered() -> None:
    assert not any(
        asked.path.endswith("/input") for asked in malformed_requests(RUN, FEATURES - {"input"}, 0)
    )
