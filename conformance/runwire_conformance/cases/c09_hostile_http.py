"""Chapter 9: malformed HTTP requests, which the server has to refuse while it continues to serve others."""

from urllib.parse import urljoin

from runwire_conformance.case import Violation, proves
from runwire_conformance.cases.c09_http import accepted
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Response
from runwire_conformance.fuzz.malformed_requests import MalformedRequest, malformed_requests


def complaint(asked: MalformedRequest, response: Response) -> str | None:
    """Return what is wrong with the answer to a hostile request, if anything."""
    shown = f"{asked.method} {asked.path} with {asked.reason}: expected {asked.status} {asked.code}; got"
    if response.status != asked.status:
        return f"{shown} {response.status} {response.body[:100]!r}"
    if response.media_type != "application/problem+json" or response.json().get("code") != asked.code:
        return f"{shown} {response.media_type} {response.body[:100]!r}"
    return None


@proves("HTTP-7", "HTTP-9", "HTTP-11", "HTTP-14", "SSE-16", timing=True)
async def requests_that_break_the_contract_are_refused(target: Target) -> None:
    run_id = str((await accepted(target, target.brief))["run_id"])
    base = target.runs_url.rstrip("/")
    for asked in malformed_requests(run_id, target.features, target.options.search.seed):
        headers = [("Content-Type", asked.media_type)] if asked.media_type else []
        url = urljoin(base, base + asked.path.removeprefix("/v1/runs"))
        response = await target.http(asked.method, url, headers, asked.body)
        if said := complaint(asked, response):
            raise Violation(asked.requirement, said)

    stream = await target.start_stream(target.brief)
    run = await stream.run()
    await run.terminal()
