"""Model-based tests: random scripts and client actions, checked against a model of the specification."""

from runwire_conformance.case import NotExercised, proves
from runwire_conformance.client.target import Target
from runwire_conformance.fuzz.search import search
from runwire_conformance.fuzz.strategies import PlanScope

#: Connections and streams that a conversation of the model holds at once.
CONNECTIONS = 4


def kit(target: Target, *lines: str, resumes: bool = False) -> PlanScope:
    """Return what this server lets the model do; raises NotExercised when it lets too little."""
    most = target.limits.whole("connections_per_principal")
    if most * 0.6 < CONNECTIONS:
        raise NotExercised(f"connections_per_principal is {most}; the model needs at least 7")
    asks = "input" in target.features
    return PlanScope(lines, min(2, target.limits.whole("runs_per_connection")), resumes, asks)


@proves("RUN-4", "RUN-5", "RUN-28", "CANCEL-1", script=True, connections=CONNECTIONS, searches=True)
async def what_a_websocket_tells_keeps_to_the_model(target: Target) -> None:
    await search(target, kit(target, "w0", "w1"))


@proves("RUN-30", "RESUME-9", "RESUME-10", script=True, connections=CONNECTIONS, searches=True)
async def who_leaves_and_comes_back_reads_what_the_model_says(target: Target) -> None:
    await search(target, kit(target, "w0", "w1", resumes=True))


@proves("SSE-5", "SSE-21", "SSE-14", script=True, connections=CONNECTIONS, searches=True)
async def who_changes_the_transport_reads_what_the_model_says(target: Target) -> None:
    await search(target, kit(target, "w0", "s0", resumes=True))
