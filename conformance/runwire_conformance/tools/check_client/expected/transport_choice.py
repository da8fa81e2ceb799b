"""Which way a client takes to a run: discovery before it falls back, polls of a gathered stream, origins. Pure."""

from runwire_conformance.tools.check_client.expected.expectation_result import (
    HELD,
    PENDING,
    ExpectationResult,
    ExpectationState,
    PlayContext,
    not_seen,
    violated,
)
from runwire_conformance.tools.check_client.scenario import Expectation


def discovers(_: Expectation, context: PlayContext) -> ExpectationResult:
    """Between a handshake that came to nothing and the first request for a run the discovery document is fetched."""
    shaken = next(iter(context.log.of("handshake")), None)
    if shaken is None:
        return not_seen(context, "the client never tried a WebSocket")
    asked = next(
        (one for one in context.log.attaches if one.get("transport") == "sse" and one.at > shaken.at), None
    )
    if asked is None:
        return not_seen(context, "the client never fell back")
    found = [one for one in context.log.of("discovery") if shaken.at < one.at <= asked.at]
    if not found:
        return violated("the client requested a run over HTTP without checking why the WebSocket failed")
    if all(one.get("token") != asked.get("token") for one in found):
        return violated("the client requests discovery and the run with different credentials")
    return HELD


def polls(_: Expectation, context: PlayContext) -> ExpectationResult:
    """A stream that brings nothing is replaced by polls."""
    gathered = next((one for one in context.log.attaches if one.get("transport") == "sse"), None)
    if gathered is None:
        return not_seen(context, "the client never requested a stream")
    polled = [one for one in context.log.of("poll") if one.at > gathered.at]
    if polled and context.scenario.poll and not any(one.get("page") for one in polled):
        return (
            ExpectationResult(
                ExpectationState.ABSENT, "the client polls the status of the run but not its log"
            )
            if context.over
            else PENDING
        )
    if len(polled) > 1:
        return HELD
    if polled:
        why = "the client polled only once, although the run went on"
        return ExpectationResult(ExpectationState.ABSENT, why) if context.over else PENDING
    return (
        ExpectationResult(
            ExpectationState.ABSENT, "the client kept waiting for a stream that delivered nothing"
        )
        if context.over
        else PENDING
    )


def keeps_credentials(_: Expectation, context: PlayContext) -> ExpectationResult:
    """No credential reaches another origin."""
    elsewhere = [one for one in context.log.entries if one.get("foreign")]
    for one in elsewhere:
        if one.get("token"):
            return violated(
                f"a {one.kind} to {one.get('foreign')} carries the credential for {one.get('own')}"
            )
    own = [one for one in context.log.entries if one.get("token") and not one.get("foreign")]
    if not own:
        return not_seen(context, "the client never sent its credential")
    if context.over or context.now - own[0].at >= context.scenario.window_s:
        return HELD
    return PENDING
