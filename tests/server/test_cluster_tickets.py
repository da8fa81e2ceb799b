"""A ticket of one node is good at every node, and once at one of them, whoever is in a hurry."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.auth_stand import ALICE, BOB, Header, Stand, bearer, is_problem, message_of, token_options
from tests.support.cluster_stand import Cluster

pytestmark = pytest.mark.whole

PAGE, OTHER_PAGE = ("Origin", "http://localhost:3000"), ("Origin", "http://localhost:4000")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stand]]:
    """Three nodes that let in whoever has a token or a ticket."""
    folder = tmp_path_factory.mktemp("tickets")
    cluster = Cluster(folder, 3, *token_options(folder), "--ticket-s=20")
    yield [Stand(node.url, Path("unused")) for node in cluster.nodes]
    cluster.end()


def ticket(node: Stand, token: str, *headers: Header) -> str:
    """Return a query with a fresh ticket of a node."""
    answer = node.ask("POST", "/v1/tickets", bearer(token), *headers, body="{}")
    assert answer.status == 200
    return "?ticket=" + answer.json["ticket"]


def test_a_ticket_of_one_node_opens_one_connection_at_another(nodes: list[Stand]) -> None:
    a, b, c = nodes
    query = ticket(a, ALICE)

    assert b.shake(query=query).status == 101
    for node in (a, b, c):
        assert is_problem(node.shake(query=query), 401, "unauthorized")


def test_a_ticket_that_is_used_everywhere_at_once_opens_one_connection(nodes: list[Stand]) -> None:
    for number in range(10):
        query = ticket(nodes[number % 3], ALICE)
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda node, query=query: node.shake(query=query), nodes * 4))

        assert sorted(answer.status for answer in answers) == [101] + [401] * 11


def test_a_ticket_lets_in_whom_it_was_issued_to(nodes: list[Stand]) -> None:
    a, b, _ = nodes
    posted = a.ask("POST", "/v1/runs", bearer(ALICE), body=json.dumps({"prompt": "x"}))
    run_id = posted.json["run_id"]

    for token, answer in ((ALICE, "resumed"), (BOB, "error")):
        with b.connection(query=ticket(a, token)) as socket:
            socket.send(json.dumps({"type": "resume", "run_id": run_id, "after": 0}))
            assert message_of(socket, "resumed", "error")["type"] == answer


def test_a_ticket_that_was_seen_at_one_node_from_another_page_is_worth_nothing_at_the_next(
    nodes: list[Stand],
) -> None:
    a, b, c = nodes
    query = ticket(a, ALICE, PAGE)

    assert is_problem(b.shake(OTHER_PAGE, query=query), 401, "unauthorized")
    assert is_problem(c.shake(PAGE, query=query), 401, "unauthorized")
