"""Transport choice of a client: discovery, fallback, polling of buffered streams, origins. Pure."""

from runwire_conformance.tools.check_client.expected.standing import (
    HELD,
    PENDING,
    Moment,
    Standing,
    State,
    broken,
    missing,
)
from runwire_conformance.tools.check_client.scenario import Expectation


def discovers(_: Expectation, moment: Moment) -> Standing:
    """Between a handshake that came to nothing and the first request for a run the discovery document is fetched."""
    shaken = next(iter(moment.log.of("handshake")), None)
    if shaken is None:
        return missing(moment, "the client never tried a WebSocket")
    asked = next(
        (one for one in moment.log.attaches if one.get("transport") == "sse" and one.at > shaken.at), None
    )
    if asked is None:
        return missing(moment, "the client never fell back")
    found = [one for one in moment.log.of("discovery") if shaken.at < one.at <= asked.at]
    if not found:
        return broken("the client requested a run over HTTP without checking why the WebSocket failed")
    if all(one.get("token") != asked.get("token") for one in found):
        return broken("the client requests discovery and the run with different credentials")
    return HELD


def polls(_: Expectation, moment: Moment) -> Standing:
    """A stream that brings nothing is replaced by polls."""
    gathered = next((one for one in moment.log.attaches if one.get("transport") == "sse"), None)
    if gathered is None:
        return missing(moment, "the client never requested a stream")
    polled = [one for one in moment.log.of("poll") if one.at > gathered.at]
    if polled and moment.scenario.poll and not any(one.get("page") for one in polled):
        return (
            Standing(State.ABSENT, "the client polls the status of the run but not its log")
            if moment.over
            else PENDING
        )
    if len(polled) > 1:
        return HELD
    if polled:
        why = "the client polled only once, although the run went on"
        return Standing(State.ABSENT, why) if moment.over else PENDING
    return (
        Standing(State.ABSENT, "the client kept waiting for a stream that delivered nothing")
        if moment.over
        else PENDING
    )


def keeps_credentials(_: Expectation, moment: Moment) -> Standing:
    """No credential reaches another origin."""
    elsewhere = [one for one in moment.log.seen if one.get("foreign")]
    for one in elsewhere:
        if one.get("token"):
            return broken(f"a {one.kind} to {one.get('foreign')} carries the credential for {one.get('own')}")
    own = [one for one in moment.log.seen if one.get("token") and not one.get("foreign")]
    if not own:
        return missing(moment, "the client never sent its credential")
    if moment.over or moment.now - own[0].at >= moment.scenario.window_s:
        return HELD
    return PENDING
