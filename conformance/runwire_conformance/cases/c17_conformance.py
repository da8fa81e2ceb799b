"""Chapter 17: conformance claims."""

from urllib.parse import urljoin

from runwire_conformance.case import NotOffered, proves
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import expect_status
from runwire_conformance.client.target import JSON, Target, new_run_id


@proves("CONF-1")
async def listed_features_are_served(client: Client, target: Target) -> None:
    listed = target.features & {"resume", "input", "sse"}
    if not listed:
        raise NotOffered("the server lists none of resume, sse and input")
    answers = {
        "resume": {"type": "resume", "run_id": new_run_id(), "after": 0},
        "input": {"type": "input", "run_id": new_run_id(), "request_id": "q1", "data": True},
    }

    refused = [
        name for name in listed & answers.keys() if (await client.ask(answers[name]))["code"] == "unsupported"
    ]

    assert refused == []
    if "sse" in listed:
        response = await target.http("POST", target.runs_url, [JSON], b"{}")
        expect_status(response, 400)


@proves("CONF-1")
async def listed_metrics_are_served(target: Target) -> None:
    if "metrics" not in target.features or target.profile.discovery_url is None:
        raise NotOffered("the server does not list metrics")

    response = await target.http("GET", urljoin(target.profile.discovery_url, "/metrics"))

    assert response.status not in {404, 405}


@proves("CONF-3")
async def features_that_need_others_come_with_them(target: Target) -> None:
    if not target.features:
        raise NotOffered("the server offers no feature")

    assert "sse" not in target.features or "resume" in target.features
    assert "tickets" not in target.features or "auth" in target.features
