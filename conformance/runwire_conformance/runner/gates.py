"""Preconditions of a case: offered features and the script agent."""

from runwire_conformance.client.discovery.profile import ServerProfile
from runwire_conformance.verdict.outcome import Case, Outcome, State
from runwire_spec import catalogue


def unplayed(case: Case, profile: ServerProfile) -> Outcome | None:
    """Return what becomes of a case that this server cannot be asked to play, or None.

    It does not claim the feature, or does claim one without which alone the case makes sense, or plays no scripts.
    """
    gated = {gate for identifier in case.claim.ids + case.claim.watches for gate in gates_of(identifier)}
    gates = gated - {"script_agent", *case.claim.beyond}
    absent = sorted(gates - set(profile.features))
    if case.transport == "sse" and "sse" not in profile.features:
        absent.append("sse")
    if absent:
        return Outcome(State.NOT_OFFERED, f"the server does not offer {', '.join(absent)}")
    if case.claim.without in profile.features:
        return Outcome(State.NOT_OFFERED, f"only for a server without {case.claim.without}")
    if "script_agent" in gated and not profile.has_script_agent:
        return Outcome(State.NOT_OFFERED, "the server does not offer the script agent")
    if case.claim.script and not profile.has_script_agent:
        hint = "needs the script agent (specification, chapter 16): add it to the server and announce script_agent"
        return Outcome(State.NOT_EXERCISED, hint)
    admitted = profile.limits.advertised.get("connections_per_principal")
    if admitted is not None and case.claim.connections > profile.limits["connections_per_principal"]:
        reason = f"needs {case.claim.connections} connections at once; set connections_per_principal to at least that"
        return Outcome(State.NOT_EXERCISED, reason)
    return None


def gates_of(identifier: str) -> tuple[str, ...]:
    """Return the features, or `script_agent`, that gate a requirement."""
    name = catalogue()[identifier].conformance_class
    return () if name in {"basic", "core"} else (name,)
