"""Chapter 11: JSON Web Tokens."""

import hashlib
import hmac
import json
import time
from typing import Any

from runwire_conformance.case import NotExercised, NotOffered, proves
from runwire_conformance.cases.c11_authentication import expect_challenge
from runwire_conformance.client.target import Target
from runwire_conformance.trace.redaction import base64url

#: Seconds by which the clock of a server may differ at most ([AUTH-17]), and a little more.
BEYOND_LEEWAY_S = 70


def has_the_form(token: str) -> bool:
    """Whether a token looks like a JSON Web Token: three parts, the first a JSON object."""
    return token.count(".") == 2 and token.startswith("eyJ")


async def minted(target: Target, **claims: Any) -> str:
    """Return a JSON Web Token with these claims; raises NotOffered and NotExercised."""
    if "jwt" not in target.options.hooks and not has_the_form(target.token):
        raise NotOffered("the configured token is no JSON Web Token, and [hooks] jwt mints none")
    return await target.jwt(**claims)


async def a_good_one(target: Target) -> str:
    """Return a JSON Web Token that is accepted; raises NotOffered and NotExercised."""
    token = target.token if "jwt" not in target.options.hooks else await target.jwt()
    if not has_the_form(token):
        raise NotOffered("the configured token is no JSON Web Token, and [hooks] jwt mints none")
    peer, response, _ = await target.as_caller(token).handshake()
    peer.close()
    if response.status != 101:
        raise NotExercised(f"the token that [hooks] jwt printed is refused with {response.status}")
    return token


async def expect_no_credential(target: Target, token: str) -> None:
    """Expect that a token is no valid credential."""
    expect_challenge(await target.as_caller(token).refused_handshake())


@proves("AUTH-16", deadline_s=40)
async def a_token_that_is_not_signed_is_refused(target: Target) -> None:
    _, payload, signature = (await a_good_one(target)).split(".")

    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        header = base64url(json.dumps({"alg": algorithm, "typ": "JWT"}))
        await expect_no_credential(target, f"{header}.{payload}.")
        await expect_no_credential(target, f"{header}.{payload}.{signature}")


@proves("AUTH-16", deadline_s=40)
async def a_token_of_an_algorithm_that_was_not_configured_is_refused(target: Target) -> None:
    _, payload, signature = (await a_good_one(target)).split(".")

    for algorithm in ("HS1", "MD5", "vendor:own"):
        header = base64url(json.dumps({"alg": algorithm, "typ": "JWT"}))
        await expect_no_credential(target, f"{header}.{payload}.{signature}")
    without = base64url(json.dumps({"typ": "JWT"}))
    await expect_no_credential(target, f"{without}.{payload}.{signature}")


@proves("AUTH-16", deadline_s=40)
async def a_token_that_is_signed_with_nothing_is_refused(target: Target) -> None:
    _, payload, _ = (await a_good_one(target)).split(".")
    header = base64url(json.dumps({"alg": "HS256", "typ": "JWT"}))

    for key in (b"\x00", b"secret", b"null"):
        digest = hmac.new(key, f"{header}.{payload}".encode(), hashlib.sha256).digest()
        await expect_no_credential(target, f"{header}.{payload}.{base64url(digest)}")


@proves("AUTH-17", deadline_s=40)
async def a_token_without_an_end_is_refused(target: Target) -> None:
    await a_good_one(target)

    await expect_no_credential(target, await minted(target, exp=None))


@proves("AUTH-17", deadline_s=40)
async def a_token_past_its_end_is_refused(target: Target) -> None:
    await a_good_one(target)

    await expect_no_credential(target, await minted(target, exp=int(time.time()) - BEYOND_LEEWAY_S))


@proves("AUTH-17", deadline_s=40)
async def a_token_before_its_beginning_is_refused(target: Target) -> None:
    await a_good_one(target)
    now = int(time.time())

    early = await minted(target, nbf=now + BEYOND_LEEWAY_S, exp=now + 10 * BEYOND_LEEWAY_S)

    await expect_no_credential(target, early)


@proves("AUTH-17", deadline_s=40)
async def a_token_for_another_audience_is_refused(target: Target) -> None:
    await a_good_one(target)

    await expect_no_credential(target, await minted(target, aud="https://another.example"))
