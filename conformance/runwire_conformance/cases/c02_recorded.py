"""Chapter 17: unspecified behaviour, recorded but not judged; each case proves only what the specification requires."""

import json

from runwire_conformance.case import NotExercised, proves
from runwire_conformance.cases.c09_http import accepted
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.target import Target


@proves("EVENT-13", script=True)
async def a_call_without_observation_completes_nothing(client: Client, target: Target) -> None:
    run = await client.start(scripts.script(scripts.call("c1"), scripts.token("x")))

    terminal = await run.terminal()

    assert terminal.get("status") != "completed"
    said = terminal.get("code") if terminal.type == "error" else terminal.get("status")
    target.observed("uncompleted_call", f"{terminal.type} {said}")


@proves("MSG-30")
async def a_number_that_no_double_holds_has_one_answer(client: Client, target: Target) -> None:
    prompt = json.dumps(target.brief)
    answer = await client.ask_text(f'{{"type":"start","id":"n","prompt":{prompt},"inputs":{{"n":1e400}}}}')

    assert answer.type in {"started", "error"}
    target.observed("number_beyond_doubles", str(answer.get("code") or answer.type))
    await client.barrier()


@proves("HTTP-20", script=True)
async def the_head_of_a_stream_has_a_status(target: Target) -> None:
    run_id = str((await accepted(target, scripts.SILENT))["run_id"])

    response = await target.http("HEAD", target.run_url(run_id, "/events"))

    assert response.status in {200, 405}
    target.observed("head_of_a_stream", str(response.status))
    await target.post(target.run_url(run_id, "/cancel"), {})


@proves("CONN-1")
async def discovery_refers_to_its_endpoints(target: Target) -> None:
    if target.profile.discovery_url is None:
        raise NotExercised("only a WebSocket URL was given")
    response = await target.http("GET", target.profile.discovery_url)

    assert response.status == 200
    for reference in response.json()["endpoints"].values():
        kind = "a whole URL" if "://" in reference else "a path" if reference.startswith("/") else "relative"
        target.observed("references", kind)
