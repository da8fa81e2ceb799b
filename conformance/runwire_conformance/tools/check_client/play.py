"""One play: a scenario on one transport, a client, and the result of each expectation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from runwire_conformance.rules import Finding
from runwire_conformance.tools.check_client.client_under_test.launch_parameters import LaunchParameters
from runwire_conformance.tools.check_client.client_under_test.process import LaunchedClient
from runwire_conformance.tools.check_client.expected.expectation_result import (
    ExpectationResult,
    ExpectationState,
    PlayContext,
)
from runwire_conformance.tools.check_client.expected.expectations import findings_of, result_of
from runwire_conformance.tools.check_client.scenario import Expectation, Scenario
from runwire_conformance.tools.check_client.server.play_server import PlayServer
from runwire_conformance.tools.check_client.wire_log import FROM_CLIENT, WireLog
from runwire_conformance.trace.clock import Clock, now
from runwire_conformance.trace.trace import Trace

#: Starts a client that was told something, which notes its reports in the log.
Launcher = Callable[[LaunchParameters, WireLog], Awaitable[LaunchedClient]]

#: Seconds between two looks while nothing happens, and after the client's end for what was under way.
LOOK_S = 0.25
LAST_S = 0.5

#: The longest play, in times of the patience.
MOST_PATIENCES = 4


@dataclass(frozen=True, slots=True)
class PlayResult:
    """What came of a play."""

    scenario: Scenario
    transport: str
    standings: tuple[tuple[Expectation, ExpectationResult], ...]
    findings: tuple[Finding, ...]
    traces: tuple[Trace, ...]
    seconds: float
    #: What the client said of it, and what it misreported.
    complaint: str = ""
    misreported: str = ""
    #: Whether the client reached the server at all, and whether it started a run.
    connected: bool = False
    attached: bool = False
    reported: frozenset[str] = frozenset()
    exit_code: int | None = None
    #: Seconds until it tried again what was refused for now.
    tried_again_s: float | None = None
    #: Why the judge's clock could not be trusted meanwhile, in words, or an empty string.
    unsteady: str = ""
    #: The requirements of which nothing was decided when the waiting ended.
    undecided: frozenset[str] = frozenset()
    #: Why it was not played, as the client cannot take part; why the judge left it out; what failed in the judge.
    unplayed: str = ""
    left_out: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        """The name of a scenario on a transport, as a report has it."""
        return f"{self.scenario.name}[{self.transport}]"

    def has(self, requirement: str, state: ExpectationState) -> bool:
        """Whether an expectation for a requirement stands so."""
        return any(
            one.requirement == requirement and standing.state is state for one, standing in self.standings
        )

    def absent_for(self, returning: frozenset[str]) -> bool:
        """Whether something never came that has to, as the client comes back over the transports `returning`."""
        return any(
            standing.state is ExpectationState.ABSENT
            or (standing.state is ExpectationState.AWAY and habit(one, self.transport) in returning)
            for one, standing in self.standings
        )

    @property
    def absent(self) -> bool:
        """Whether something never came, which proves nothing before it was looked for again, alone."""
        return any(
            standing.state in {ExpectationState.ABSENT, ExpectationState.AWAY}
            for _, standing in self.standings
        )

    @property
    def in_doubt(self) -> bool:
        """Whether a stall of the judge may be the cause of what was not kept, or did not come about."""
        states = {standing.state for _, standing in self.standings}
        unkept = states - {ExpectationState.HELD, ExpectationState.NOT_EXERCISED}
        return bool(self.unsteady and (unkept or self.findings or self.undecided))


async def play(
    scenario: Scenario,
    transport: str,
    launch: Launcher,
    patience_s: float,
    reports: frozenset[str] = frozenset(),
    clock: Clock | None = None,
) -> PlayResult:
    """Play a scenario to a client until everything is decided, it has ended, or nothing happened for the patience.

    `reports` are the members that the client is known to report; `clock` measures the judge's own stalls, by which the
    patience grows.
    """
    clock = clock or Clock()
    server = PlayServer(scenario, transport, reports)
    await server.open()
    began = now()
    client: LaunchedClient | None = None
    try:
        client = await launch(server.launch_parameters, server.log)
        began = now()  # whoever is started by hand was waited for
        over = await _until_decided(server, client, clock, began, patience_s)
        standings, ended = _standings(server, over), client.ended
        pending = [one for one, standing in _standings(server, over=False) if _is_pending(standing)]
    finally:
        if client is not None:
            await client.stop()
        await server.close()
    return PlayResult(
        scenario,
        transport,
        standings,
        _marked(server.log),
        tuple(trace for trace in server.log.traces if trace.transport != "http") or tuple(server.log.traces),
        now() - began,
        client.complaint,
        client.misreported,
        any(one.kind in {"discovery", "handshake", "request", "attach"} for one in server.log.entries),
        bool(server.log.attaches),
        frozenset(name for one in server.log.of("report") for name in one.members),
        ended,
        tried_again_s(server.log),
        clock.unsteady_since(began),
        frozenset(one.requirement for one in pending),
    )


async def _until_decided(
    server: PlayServer, client: LaunchedClient, clock: Clock, began: float, patience_s: float
) -> bool:
    """Return whether the play is over though something is pending."""
    log = server.log
    ended_at: float | None = None
    while True:
        log.changed.clear()
        waits = server.scenario.whole and not any(one.get("ended") for one in log.of("report"))
        if not waits and not any(_is_pending(standing) for _, standing in _standings(server, over=False)):
            return False
        ended_at = ended_at or (now() if client.ended is not None else None)
        if ended_at is not None and now() - ended_at > LAST_S:
            return True
        sign = max(_last_sign(log), began)
        if now() - sign > patience_s + clock.stall_since(sign):
            return True
        if now() - began > MOST_PATIENCES * patience_s + clock.stall_since(began):
            return True
        try:
            async with asyncio.timeout(LOOK_S):
                await log.changed.wait()
        except TimeoutError:
            pass


def _is_pending(standing: ExpectationResult) -> bool:
    return standing.state is ExpectationState.PENDING


def _marked(log: WireLog) -> tuple[Finding, ...]:
    """Return what the rules for clients find, and mark the places in the conversations."""
    found = []
    for trace in log.traces:
        for finding in findings_of(trace):
            trace.marks.setdefault(finding.record, finding.requirement)
            found.append(finding)
    return tuple(found)


def tried_again_s(log: WireLog) -> float | None:
    """Return the seconds from the first end of a reader to the next attempt, None when there was none."""
    ended = log.mark("ended")
    again = next((one for one in log.attaches if ended is not None and one.at > ended.at), None)
    return None if ended is None or again is None else again.at - ended.at


def _last_sign(log: WireLog) -> float:
    """Return when something last happened that a client could act upon, or did: Pongs show nothing new."""
    kinds = (FROM_CLIENT - {"pong", "report"}) | {"mark", "ended"}
    return max([log.said_at, *(one.at for one in log.entries if one.kind in kinds)])


def _standings(server: PlayServer, over: bool) -> tuple[tuple[Expectation, ExpectationResult], ...]:
    moment = PlayContext(server.scenario, server.log, now(), over, server.reports)
    return tuple((one, result_of(one, moment)) for one in server.scenario.expectations)


#: The scenario that shows whether a client tries a refused start again.
REFUSED = "a_refusal_for_now"

#: The sentence that a client breaks on a transport that does not come back at all: one cause, one accusation.
LEADERS = {"websocket": "CLOSE-4", "sse": "SSE-23"}


def habit(expectation: Expectation, transport: str) -> str:
    """Return what a client has to be seen to do elsewhere before it is expected here: a member of `returns`."""
    return f"tries again over {transport}" if expectation.get("retrying") else transport


def returns(plays: Sequence[PlayResult]) -> frozenset[str]:
    """Return what a client was seen to do.

    That is each transport over which it came back when it was told to, and `tries again over` each over which it sent
    a start again that was refused for now.
    """
    back = {
        play.transport for play in plays if play.has(LEADERS.get(play.transport, ""), ExpectationState.HELD)
    }
    again = {
        f"tries again over {play.transport}"
        for play in plays
        if play.scenario.name == REFUSED and play.has("ERR-8", ExpectationState.HELD)
    }
    return frozenset(back | again)
