"""What is drawn as valid is accepted and what is drawn as invalid refused: by jsonschema, fast, and by the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwire_reference_server.service.settings import Settings
from runwire_reference_server.transports.session import Close, Send, Session
from runwire_schemas import CLIENT_TYPES, SERVER_TYPES, _accepts, schema, validator, violations
from runwire_schemas.fast import accelerator
from tests.support.message_strategies import CLIENT, SERVER, invalid, valid

KINDS = [*(("client", kind) for kind in CLIENT), *(("server", kind) for kind in SERVER)]

many = settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))


def named(side: str, kind: str) -> str:
    """Return the name of a message's schema."""
    return CLIENT_TYPES[kind] if side == "client" else SERVER_TYPES[kind]


def server_accepts(message: dict[str, Any]) -> bool:
    """Whether the reference server takes a message of the client, whatever it then does about it."""
    command = Session(Settings(), "c-1", "1" * 32).receive(json.dumps(message))
    assert not isinstance(command, Close), "a JSON object never closes"
    return not (isinstance(command, Send) and command.message.get("code") == "bad_request")


def judgements(side: str, kind: str, message: dict[str, Any]) -> dict[str, bool]:
    """Return what each validator says of a message."""
    name = named(side, kind)
    fast = _accepts(name)
    assert fast is not None, "the extra `fast` is installed for tests"
    said = {
        "jsonschema": validator(name).is_valid(message),
        "jsonschema-rs": fast(message),
        "violations": not violations(name, message),
    }
    return said | ({"server": server_accepts(message)} if side == "client" else {})


@pytest.mark.parametrize(("side", "kind"), KINDS)
@many
@given(data=st.data())
def test_what_is_valid_is_accepted_by_all(side: str, kind: str, data: st.DataObject) -> None:
    message = data.draw(valid(kind, (CLIENT if side == "client" else SERVER)[kind]))

    said = judgements(side, kind, message)

    assert said == dict.fromkeys(said, True)


@pytest.mark.parametrize(("side", "kind"), KINDS)
@many
@given(data=st.data())
def test_what_is_invalid_is_refused_by_all(side: str, kind: str, data: st.DataObject) -> None:
    message = data.draw(invalid(kind, (CLIENT if side == "client" else SERVER)[kind]))

    said = judgements(side, kind, message)

    assert said == dict.fromkeys(said, False)


@pytest.mark.parametrize(("side", "kind"), KINDS)
def test_the_strategies_know_every_member(side: str, kind: str) -> None:
    shape = (CLIENT if side == "client" else SERVER)[kind]
    described = schema(named(side, kind))

    members = {name.removesuffix("?") for name in shape} | {"type"}
    required = {name for name in shape if not name.endswith("?")} | {"type"}
    assert members == set(described["properties"]) - {"schema"}
    assert required >= set(described["required"]) - {"type"}


def test_every_type_but_ready_is_drawn() -> None:
    assert (set(CLIENT), set(SERVER) | {"ready"}) == (set(CLIENT_TYPES), set(SERVER_TYPES))


def test_without_the_accelerator_the_results_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwire_schemas.fast.import_module", _absent)
    accelerator.cache_clear()
    _accepts.cache_clear()
    try:
        assert violations("token", {"type": "token", "data": "x"}) == []
        assert [str(found) for found in violations("token", {"type": "token"})] == ["/: 'data' is missing"]
        assert accelerator() is None
    finally:
        accelerator.cache_clear()
        _accepts.cache_clear()


def _absent(name: str) -> None:
    raise ImportError(name)


@pytest.mark.parametrize(
    "odd", [{1: 2}, {"type": "token", "data": "\ud800"}, {"type": "token", "data": "x", "n": 10**400}]
)
def test_what_the_accelerator_cannot_hold_is_judged_all_the_same(odd: Any) -> None:
    assert (not violations("token", odd)) == validator("token").is_valid(odd)
