"""Judges the clients of the proof, inside one process."""

from __future__ import annotations

from runwire_conformance.tools.check_client.client_under_test.profile import bound, profile_of
from runwire_conformance.tools.check_client.suite import Suite
from runwire_conformance.tools.check_client.verdicts import judge_client
from runwire_conformance.verdict.judgement import Judgement, Verdict
from tests.proof.clients.careful import Client
from tests.proof.clients.flaws import Flaw
from tests.proof.clients.launching import launcher

#: Clients of one suite at once: each only waits.
AT_ONCE = 40


async def played(kind: type[Client], patience_s: float, ids: frozenset[str] = frozenset()) -> Suite:
    """Play to a client that claims everything all scenarios, or those that are about `ids`."""
    suite = Suite(
        profile_of(["all"], []),
        launcher(kind),
        patience_s,
        AT_ONCE,
        chosen=lambda scenario: not ids or bool(ids & set(scenario.ids)),
    )
    await suite.run()
    return suite


def judgements_of(suite: Suite) -> tuple[Judgement, ...]:
    """Return the judgements that a suite comes to."""
    return judge_client(suite.plays, suite.profile, [*bound()], suite.returning)


async def judged(
    kind: type[Client], patience_s: float, ids: frozenset[str] = frozenset()
) -> tuple[Judgement, ...]:
    """Judge a client that claims everything."""
    return judgements_of(await played(kind, patience_s, ids))


def guilty(judgements: tuple[Judgement, ...]) -> dict[str, str]:
    """Return the requirements that were found broken, with the first reason."""
    found = (one for one in judgements if one.verdict in {Verdict.FAIL, Verdict.ADVICE})
    return {one.requirement.id: f"{one.accusations[0].case}: {one.reasons[0]}" for one in found}


def false_blame(flaw: Flaw, blamed: dict[str, str]) -> dict[str, str]:
    """Return what a flawed client is blamed for beyond what it breaks."""
    return {name: why for name, why in blamed.items() if name not in {flaw.breaks, *flaw.related}}
