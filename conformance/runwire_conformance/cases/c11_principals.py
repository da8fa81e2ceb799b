"""Chapter 11: isolation of principals."""

import secrets

from runwire_conformance.case import NotExercised, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_noticed,
    expect_problem,
    expect_refused,
    expect_text,
)
from runwire_conformance.client.target import Target, new_run_id


async def two_tokens(target: Target) -> tuple[str, str]:
    """Return two tokens of one principal; raises NotExercised."""
    if "jwt" in target.options.hooks:
        tokens = [await target.jwt(jti=secrets.token_hex(8)) for _ in range(2)]
    else:
        tokens = [await target.short_lived_token() for _ in range(2)]
    if tokens[0] == tokens[1]:
        raise NotExercised("the command of [hooks] short_lived_token printed the same token twice")
    return tokens[0], tokens[1]


@proves("AUTH-11", connections=2, hooks=("other_token",))
async def a_run_of_another_principal_is_not_found(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    elsewhere = target.as_other()
    own = await target.connect()
    run = await own.start(target.brief)
    await run.terminal()

    other = await elsewhere.connect()
    for after in (0, run.last_seq, run.last_seq + 1):
        answer = await other.ask({"type": "resume", "run_id": run.id, "after": after})
        expect_refused(answer, "not_found")


@proves("AUTH-11", hooks=("other_token",))
async def a_run_of_another_principal_is_404(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    other = target.as_other()
    own = await target.connect()
    run = await own.start(target.brief)
    await run.terminal()

    expect_problem(await other.http("GET", other.run_url(run.id)), 404, "not_found")
    expect_problem(await other.http("GET", other.run_url(run.id, "/events")), 404, "not_found")
    expect_problem(await other.post(other.run_url(run.id, "/cancel"), {}), 404, "not_found")


@proves("AUTH-11", script=True, connections=2, hooks=("other_token",))
async def a_run_of_another_principal_is_not_cancelled(target: Target) -> None:
    elsewhere = target.as_other()
    other, own = await elsewhere.connect(), await target.connect()
    run = await own.start(scripts.script(scripts.token("a"), scripts.wait(800), scripts.token("b")))
    await run.next_event()

    answer = await other.ask({"type": "cancel", "run_id": run.id})
    if "sse" in target.features:
        await elsewhere.post(elsewhere.run_url(run.id, "/cancel"), {})

    expect_noticed(answer, "not_active")
    expect_completed(await run.terminal())


@proves("AUTH-11", script=True, connections=2, hooks=("other_token",))
async def two_principals_may_choose_the_same_run_id(target: Target) -> None:
    other, own = await target.as_other().connect(), await target.connect()
    run_id = new_run_id()
    run = await own.start(scripts.script(scripts.token("mine")), run_id=run_id)
    await run.terminal()

    second = await other.start(scripts.script(scripts.token("yours")), run_id=run_id)

    await second.terminal()
    assert (run.text, second.text) == ("mine", "yours")


@proves("AUTH-11", script=True, connections=2, hooks=("other_token",))
async def two_principals_do_not_share_a_session(target: Target) -> None:
    other, own = await target.as_other().connect(), await target.connect()
    session_id = new_run_id()
    run = await own.start(scripts.QUIET, session_id=session_id)
    await run.next_event()

    second = await other.start(scripts.THREE_TOKENS, session_id=session_id)

    assert second.opening is not None
    assert second.opening["status"] != "queued"
    expect_completed(await second.terminal())
    await own.cancel(run)


@proves("AUTH-11", script=True, connections=2, hooks=("other_token",))
async def another_principal_cannot_answer(target: Target) -> None:
    if "input" not in target.features:
        raise NotOffered("the server does not offer input")
    other, own = await target.as_other().connect(), await target.connect()
    run = await own.start(scripts.script(scripts.asking("q1"), scripts.echo("q1")))
    await run.event("input_request")

    answer = await other.ask({"type": "input", "run_id": run.id, "request_id": "q1", "data": False})

    expect_refused(answer, "not_found")
    await own.send({"type": "input", "run_id": run.id, "request_id": "q1", "data": True})
    await run.terminal()
    expect_text(run, "true")


@proves("AUTH-12", connections=2)
async def a_renewed_token_is_the_same_principal(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    first, second = await two_tokens(target)
    before = await target.as_caller(first).connect()
    run = await before.start(target.brief)
    await run.terminal()

    after = await target.as_caller(second).connect()

    again = await after.resume(run.id)
    await again.terminal()


@proves("AUTH-12", connections=2, hooks=("jwt",))
async def another_subject_is_another_principal(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    elsewhere = target.as_caller(await target.jwt(sub="runwire-two"))
    one = await target.as_caller(await target.jwt(sub="runwire-one")).connect()
    run = await one.start(target.brief)
    await run.terminal()

    answer = await (await elsewhere.connect()).ask({"type": "resume", "run_id": run.id, "after": 0})

    expect_refused(answer, "not_found")


@proves("AUTH-12", connections=2, hooks=("jwt",))
async def the_same_subject_of_another_issuer_is_another_principal(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    elsewhere = target.as_caller(await target.jwt(sub="runwire-one", iss="https://issuer.example"))
    peer, response, _ = await elsewhere.handshake()
    peer.close()
    if response.status in {401, 403}:
        return  # the server does not know that issuer
    one = await target.as_caller(await target.jwt(sub="runwire-one")).connect()
    run = await one.start(target.brief)
    await run.terminal()

    answer = await (await elsewhere.connect()).ask({"type": "resume", "run_id": run.id, "after": 0})

    expect_refused(answer, "not_found")
