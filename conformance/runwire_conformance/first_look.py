"""A first look at the server: a few conversations that show what is missing that everything else leans on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from runwire_conformance import scripts
from runwire_conformance.bounds import LATE_S, Clock
from runwire_conformance.case import Broken
from runwire_conformance.client import Client
from runwire_conformance.conversation import ANSWER_S
from runwire_conformance.held import KEPT_RECORDS
from runwire_conformance.invariants import Facts
from runwire_conformance.invariants.wire import it_is_not_flooded
from runwire_conformance.profile import Options, Profile
from runwire_conformance.symptoms import broken_off, flood_of
from runwire_conformance.target import Target
from runwire_conformance.trace import Message, Record, Trace
from runwire_conformance.wire.http import Unanswered

#: Seconds to wait for a `ready`, and for answers that another case will ask for again.
READY_S = 3.0

#: A run that has so many messages in so many seconds pours them out, and is followed for so many seconds.
POURED, POUR_S, POURED_S = 30, 0.15, 10.0

#: Seconds after its first event in which a run has certainly begun to wait.
SETTLE_S = 0.2

#: How often a look is taken whose connection broke off before it saw what it looked for.
TRIES = 6


class NoRunwireServer(Exception):
    """There is nothing to judge; the message is one line that says what to do."""


class Mute(Exception):
    """Nothing further can be told of the server: it says nothing, or nothing that can be understood.

    `requirement` is the one accusation, `text` its reason, `traces` the conversations that show it.
    """

    def __init__(self, requirement: str, text: str, traces: Sequence[Trace] = ()) -> None:
        super().__init__(text)
        self.requirement = requirement
        self.traces = tuple(traces)


@dataclass(slots=True)
class Seen:
    """What a look saw: requirements that are broken, with what shows it, and the server's `ready`."""

    missing: dict[str, str] = field(default_factory=dict)
    ready: Message | None = None


Look = Callable[[Target], Awaitable[Seen]]


async def first_look(profile: Profile, options: Options, clock: Clock) -> Profile:
    """Return the profile with what the looks saw; raises NoRunwireServer, Mute, Unreachable and Unanswered."""

    async def taken(look: Look) -> Seen:
        """Take a look, and take it again when its connection broke off: that may be chance."""
        for _ in range(TRIES):
            begun = time.monotonic()
            target = Target(profile, options, clock)
            seen: Seen | Mute | Unanswered
            try:
                seen = await look(target)
            except (Mute, Unanswered) as problem:
                seen = problem
            finally:
                await target.end()
            for trace in target.traces:
                trace.keep(KEPT_RECORDS)
                target.redaction.mask(trace)
            if (flood := _flood(target)) is not None:
                raise flood
            whole = isinstance(seen, Seen) and not seen.missing
            if whole or not broken_off(target.traces) or time.monotonic() - begun > READY_S:
                break
        if isinstance(seen, Mute):
            seen.traces = seen.traces or tuple(target.traces)
        if not isinstance(seen, Seen):
            raise seen
        missing.update(seen.missing)
        shown.update(dict.fromkeys(seen.missing, target.traces))
        return seen

    missing: dict[str, str] = {}
    shown: dict[str, Sequence[Trace]] = {}
    await taken(_handshake)
    seen = await taken(_run)
    if seen.ready is not None:
        profile = replace(profile, ready=dict(seen.ready))
    await taken(_heartbeat)
    await taken(_close)
    if not missing and profile.has_script_agent:
        await taken(_cancel)
    return replace(profile, broken=missing, shown=shown)


def _flood(target: Target) -> Mute | None:
    """Return the accusation that the server floods, if it does: there is then nothing that can be understood."""
    facts = Facts(target.limits, target.clock.worst_tolerance)
    for trace in target.traces:
        for finding in it_is_not_flooded(trace, facts):
            return Mute(finding.requirement, finding.text, [trace])
    return None


async def _handshake(target: Target) -> Seen:
    """See whether a handshake is accepted, and how long it takes."""
    profile = target.profile
    begun = time.monotonic()
    peer, response, _ = await target.handshake()
    peer.close()
    target.clock.answered_in(time.monotonic() - begun)
    if response.status != 101:
        asked = f"{profile.websocket_url} answered the WebSocket handshake with {response.status}"
        if profile.discovery is None:
            hint = "there is no Runwire server; check the URL, or name its WebSocket with ws://host:port/path"
            raise NoRunwireServer(f"{asked} and {profile.discovery_url} is no discovery document: {hint}")
        open_to_all = profile.said.get("auth", ["none"]) == ["none"]
        if response.status in {401, 403} and not open_to_all:
            raise NoRunwireServer(f"{asked}; give a credential with --token or --header")
        raise Mute("CONN-6", asked)
    return Seen()


async def _run(target: Target) -> Seen:
    """See whether `ready` comes, and a run's first events."""
    seen = Seen()
    client = await _connected(target)
    try:
        await client.message(lambda message: message.type == "ready", "ready", seconds=READY_S)
    except Broken:
        seen.missing["CONN-15"] = f"no ready came within {READY_S:g} s of the handshake"
    seen.ready = client.ready
    after = len(client.messages) - 1
    await client.send({"prompt": target.plain})
    await _answered(client, after, target.options.patience_s)
    try:
        await client.message(lambda message: message.type == "started", "started", after, READY_S)
    except Broken:
        if await _starts_by_type(client, target.plain):
            seen.missing["RUN-1"] = "a prompt without type was not answered with started; one with it was"
        else:
            seen.missing["RUN-3"] = "a prompt was not answered with started"
    try:
        event = await client.message(lambda message: message.is_event, "an event", after, READY_S)
        if "run_id" not in event or "seq" not in event:
            seen.missing["RUN-27"] = f"a {event.type} came without run_id or seq"
        await client.wait_until(lambda: event.is_terminal or len(client.messages) > POURED, POUR_S, "more")
        await _poured(client, after)
    except Broken:
        pass  # an agent may take its time
    return seen


async def _starts_by_type(client: Client, prompt: str) -> bool:
    """Return whether a server that did not take a prompt by itself takes it as a `start`."""
    after = len(client.messages) - 1
    try:
        await client.send({"type": "start", "prompt": prompt})
        await client.message(lambda message: message.type == "started", "started", after, READY_S)
    except Broken:
        return False
    return True


async def _poured(client: Client, after: int) -> None:
    """Follow a run while it pours out events; raises Mute when it goes on until the judge can hold no more of it."""
    begun, seen = time.monotonic(), 0
    while len(client.messages) - seen >= POURED and time.monotonic() - begun < POURED_S:
        seen = len(client.messages)
        try:
            await client.message(lambda message: message.is_terminal, "the terminal", after, POUR_S)
            return
        except Broken:
            if client.ended:
                return
        if (flood := flood_of([client.trace])) is not None:
            shown = f"{flood.text}; the judge stopped reading after {client.trace.flooded_at} messages"
            raise Mute(flood.requirement, shown, [client.trace])


async def _heartbeat(target: Target) -> Seen:
    """See whether a heartbeat is answered."""
    seen = Seen()
    asker = await _connected(target)
    sent_at = time.monotonic()
    await asker.send({"type": "heartbeat", "id": "probe"})
    try:
        await asker.message(lambda message: message.type == "heartbeat", "a heartbeat", seconds=READY_S)
        await asker.message(lambda message: message.get("re") == "probe", "an answer", seconds=READY_S)
    except Broken:
        soon = sent_at + target.limits["heartbeat_s"] / 2  # one that comes later is the server's own
        heard = any(message.type == "heartbeat" and message.at < soon for message in asker.messages)
        seen.missing["MSG-28"] = "a heartbeat with an id was not answered with its re"
        if not heard:
            seen.missing["BEAT-5"] = "a heartbeat was not answered with a heartbeat"
    return seen


async def _close(target: Target) -> Seen:
    """See whether a Close frame has any consequence."""
    client = await _connected(target)
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.leave()
    except TimeoutError:
        return Seen({"CONN-22": f"a Close frame of the client was not answered within {ANSWER_S:g} s"})
    return Seen()


async def _cancel(target: Target) -> Seen:
    """See whether a run that waits for something else can be cancelled meanwhile.

    Only where other runs show their terminals: a server without any has another fault.
    """
    deadline = target.limits.seconds("cancel_deadline_ms")
    bound = deadline + target.clock.tolerance + LATE_S
    try:
        if await _heeds(target, scripts.QUIET, bound):
            return Seen()
        talking = await _heeds(target, scripts.ENDLESS, bound)
        if not talking:
            brief = await (await target.connect()).start(scripts.THREE_TOKENS)
            await brief.terminal(READY_S)
    except Broken:
        return Seen()  # other cases tell what else is broken
    text = (
        f"a run was cancelled while its agent was waiting, as for a tool; no terminal came within {bound:.1f} s; "
        f"cancel_deadline_ms is {deadline * 1000:g}"
    )
    hint = "\na run whose agent was talking did end in time: is a cancel looked at only between two steps of the agent?"
    return Seen({"CANCEL-2": text + hint * talking})


async def _heeds(target: Target, script: str, seconds: float) -> bool:
    """Return whether a run is ended by a cancel within so many seconds; raises Broken when it does not begin."""
    client = await target.connect()
    run = await client.start(script)
    await run.next_event(READY_S)
    await asyncio.sleep(SETTLE_S)
    await client.cancel()
    try:
        await run.terminal(seconds)
    except Broken:
        return False
    return True


async def _connected(target: Target) -> Client:
    """Return a further connection; raises Mute when the server takes no more."""
    try:
        return await target.connect(ready=False)
    except Broken as problem:
        raise Mute("CONN-6", f"after a first handshake was accepted: {problem}") from None


async def _answered(client: Client, after: int, seconds: float) -> None:
    """Wait for the first answer to a prompt; raises Mute when nothing comes, or nothing that can be read."""

    def spoken() -> bool:
        new = client.messages[after + 1 :]
        return any(message.type != "heartbeat" for message in new) or _unreadable(client.trace) is not None

    try:
        await client.wait_until(spoken, seconds, "a message")
    except Broken:
        if not client.messages and not client.ended:
            reason = f"the connection was accepted; then nothing came for {seconds:g} s"
            raise Mute("RUN-2", reason) from None
    if not client.messages and (record := _unreadable(client.trace)) is not None:
        raise Mute("MSG-1", f"what the server sends is no JSON object: {record.payload[:80]!r}")


def _unreadable(trace: Trace) -> Record | None:
    """Return the first thing the server sent that is no message."""
    kinds = {"text", "binary", "raw"}
    sent = (record for record in trace.records if record.side == "server" and record.kind in kinds)
    return next((record for record in sent if record.message is None), None)
