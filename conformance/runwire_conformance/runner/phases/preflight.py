"""Preflight: a few conversations that test the preconditions of everything else."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.discovery.diagnosis import NoRunwireServer, refused_status
from runwire_conformance.client.discovery.locate import (
    READY_S,
    TRIES,
    ServerUnusable,
    other_websocket,
    redirect_of,
)
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.http import Unanswered
from runwire_conformance.rules import RuleContext
from runwire_conformance.rules.flood import flood_of
from runwire_conformance.rules.wire import conversations_are_not_flooded
from runwire_conformance.trace.clock import LATE_S, Clock, now
from runwire_conformance.trace.memory_budget import KEPT_RECORDS
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace
from runwire_conformance.verdict.causes import broken_off
from runwire_schemas import SERVER_TYPES

#: A run that has so many messages in so many seconds pours them out, and is followed for so many seconds.
POURED, POUR_S, POURED_S = 30, 0.15, 60.0

#: The names that the looks give their messages, so that the answers can be told from others.
PROBE, TYPED = "probe", "typed"

#: How it is told that only a `start` with its type is understood.
BY_TYPE = "a prompt without `type` was not answered with started; one with `type` start was"

#: Seconds after which a server is asked again that had no place.
AGAIN_S = 0.2

#: What an unanswered heartbeat breaks.
ANSWERED = frozenset({"MSG-28", "BEAT-5"})

#: Kinds of records that hold what a server said.
SAID = frozenset({"text", "binary", "raw"})

#: Seconds after its first event in which a run has certainly begun to wait.
SETTLE_S = 0.2


@dataclass(slots=True)
class PreflightResult:
    """What a look saw: requirements that are broken, with what shows it, and the server's `ready`."""

    missing: dict[str, str] = field(default_factory=dict)
    ready: Message | None = None
    #: Whether something is missing only as it did not come for as long as the user waits.
    absent: bool = False


PreflightCheck = Callable[[Target], Awaitable[PreflightResult]]


async def preflight(
    profile: ServerProfile, options: Options, clock: Clock, asked: Collection[str] | None = None
) -> ServerProfile:
    """Return the profile with what the looks saw; raises NoRunwireServer, ServerUnusable, Unreachable and Unanswered.

    For what no sentence states a time the user's patience counts, and what was absent is looked for again, alone.
    `asked` are the requirements that the user wants judged, None for all: for others a server without `ready` is not
    waited for.
    """

    async def taken(look: PreflightCheck) -> tuple[PreflightResult, Sequence[Trace]]:
        """Take a look, and take it again when its connection broke off: that may be chance."""
        for _ in range(TRIES):
            begun = now()
            target = Target(profile, options, clock)
            seen: PreflightResult | ServerUnusable | Unanswered | NoRunwireServer
            try:
                seen = await look(target)
            except (ServerUnusable, Unanswered, NoRunwireServer) as problem:
                seen = problem
            finally:
                await target.end()
            for trace in target.traces:
                trace.keep(KEPT_RECORDS)
                target.redaction.mask(trace)
            if (flood := _flood(target)) is not None:
                raise flood
            whole = isinstance(seen, PreflightResult) and not seen.missing
            if whole or not broken_off(target.traces) or now() - begun > READY_S:
                break
        if isinstance(seen, ServerUnusable):
            seen.traces = seen.traces or tuple(target.traces)
        if not isinstance(seen, PreflightResult):
            raise seen
        return seen, target.traces

    async def certain(look: PreflightCheck) -> PreflightResult:
        """Take a look, and again by itself when something was absent: only what is so twice is missing."""
        seen, traces = await taken(look)
        if seen.absent:
            again, traces = await taken(look)
            seen.missing = {name: text for name, text in seen.missing.items() if name in again.missing}
        missing.update(seen.missing)
        shown.update(dict.fromkeys(seen.missing, traces))
        return seen

    missing: dict[str, str] = {}
    shown: dict[str, Sequence[Trace]] = {}
    await certain(_handshake)
    seen = await certain(_run)
    if seen.ready is not None:
        profile = replace(profile, ready=dict(seen.ready))
    brief = "CONN-15" in missing and asked is not None and ANSWERED.isdisjoint(asked)
    await certain(partial(_heartbeat, brief=True) if brief else _heartbeat)
    await certain(_close)
    if not missing and profile.has_script_agent:
        await certain(_cancel)
    return replace(profile, broken=missing, shown=shown)


def _flood(target: Target) -> ServerUnusable | None:
    """Return the accusation that the server floods, if it does: there is then nothing that can be understood."""
    context = RuleContext(target.limits, target.clock.tolerance)
    for trace in target.traces:
        for finding in conversations_are_not_flooded(trace, context):
            return ServerUnusable(finding.requirement, finding.text, [trace])
    return None


async def _handshake(target: Target) -> PreflightResult:
    """See whether a handshake is accepted, and how long it takes."""
    profile = target.profile
    begun = now()
    peer, response, _ = await target.counting().handshake()
    peer.close()
    target.clock.answered_in(now() - begun)
    if response.status == 101:
        return PreflightResult()
    asked = f"{profile.websocket_url} answered the WebSocket handshake with {response.status}"
    open_to_all = profile.discovery is not None and profile.said.get("auth", ["none"]) == ["none"]
    has_credential = bool(target.options.sent_headers)
    said = refused_status(profile.websocket_url, response.status, has_credential=has_credential)
    if said is not None and not (open_to_all and response.status in {401, 403}):
        raise said
    if (other := other_websocket(profile)) is not None:
        raise NoRunwireServer(f"{asked}; use {other}, which its discovery document names")
    if profile.discovery is None and (redirect := redirect_of(profile.websocket_url, response)) is not None:
        raise NoRunwireServer(redirect)
    if profile.discovery is None:
        hint = "this is not a Runwire server; check the URL, or give its WebSocket as ws://host:port/path"
        raise NoRunwireServer(f"{asked} and {profile.discovery_url} is not a discovery document: {hint}")
    raise ServerUnusable("CONN-6", asked)


async def _run(target: Target) -> PreflightResult:
    """See whether `ready` comes first, and a run's first events."""
    seen = PreflightResult()
    client = await _connected(target)
    with suppress(Broken):  # a basic server says nothing before it is asked
        await client.next_message(-1, READY_S)
    after = len(client.messages) - 1
    await client.send({"prompt": target.plain})
    await _opened(target, client, after, seen)
    seen.ready = client.ready
    if seen.ready is None and client.messages:
        seen.missing["CONN-15"] = (
            f"the first message was {client.messages[0].type or 'one without type'}, not ready"
        )
    with suppress(Broken):  # an agent may take its time
        event = await client.message(lambda message: message.is_event, "an event", after, READY_S)
        if "run_id" not in event or "seq" not in event:
            seen.missing["RUN-27"] = f"a {event.type} had no run_id or no seq"
        await client.wait_until(lambda: event.is_terminal or len(client.messages) > POURED, POUR_S, "more")
        await _poured(client, after)
    return seen


async def _opened(target: Target, client: Client, after: int, seen: PreflightResult) -> None:
    """See whether a prompt is answered with `started`, by itself or, when nothing comes soon, as a `start`."""

    def answers(message: Message) -> bool:
        # A heartbeat of the server's own may have a wrong `re`.
        return not message.is_aside and message.type not in {"ready", "heartbeat"}

    first: Message | None = None
    with suppress(Broken):
        first = await client.message(answers, "started", after, READY_S)
    if first is None and not client.ended:
        await client.send({"type": "start", "id": TYPED, "prompt": target.plain})
        with suppress(Broken):
            first = await client.message(answers, "started", after, target.options.patience_s)
    _expect_runwire(target, client)
    seen.absent = first is None
    if first is None:
        seen.missing["RUN-3"] = "a prompt was not answered with started"
    elif first.get("re") == TYPED:
        seen.absent = True
        seen.missing["RUN-1"] = BY_TYPE
    elif first.type != "started":
        by_type = await _starts_by_type(client, target.plain)
        seen.missing["RUN-1" if by_type else "RUN-3"] = (
            BY_TYPE if by_type else f"a prompt was first answered with {first.type}, not with started"
        )


def _expect_runwire(target: Target, client: Client) -> None:
    """Raise ServerUnusable when nothing that can be read came; NoRunwireServer when nothing says that it is Runwire
    at all.
    """
    known = any(message.type in SERVER_TYPES for message in client.messages)
    if known or (client.messages and target.profile.discovery is not None):
        return
    record = _unreadable(client.trace)
    if target.profile.discovery is None:
        sent = {record.payload for record in client.trace.records if record.side == "client"}
        came = [one.payload for one in client.trace.records if one.side == "server" and one.kind in SAID]
        what = "accepted the handshake but did not answer a prompt"
        if came:
            echoes = came[0] in sent
            what = "echoes messages, as an echo server does" if echoes else f"sent {came[0][:80]!r}"
        raise NoRunwireServer(f"there is no Runwire server at {target.profile.websocket_url}: it {what}")
    if record is not None:
        raise ServerUnusable(
            "MSG-1", f"the server sent something that is not a JSON object: {record.payload[:80]!r}"
        )
    if not client.ended:
        waited = f"{target.options.patience_s:.15g} s"
        if part := client.unfinished():
            told = f"the first message was still incomplete after {waited}, with {part} bytes received"
            raise ServerUnusable("CONN-15", f"the connection was accepted; then {told}")
        raise ServerUnusable("RUN-2", f"the connection was accepted; then nothing arrived for {waited}")


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
    """Follow a run while it pours out events; raises ServerUnusable when it goes on until the judge can hold no more
    of it.
    """

    def came() -> int:
        """Return how much came: messages, and bytes of those that are counted and not kept."""
        return len(client.messages) + client.trace.received_bytes

    begun, seen = now(), 0
    while came() - seen >= POURED and now() - begun < POURED_S:
        seen = came()
        try:
            await client.message(lambda message: message.is_terminal, "the terminal", after, POUR_S)
            return
        except Broken:
            if client.ended:
                return
        if (flood := flood_of([client.trace])) is not None:
            shown = f"{flood.text}; the judge stopped reading after {client.trace.flooded_at} messages"
            raise ServerUnusable(flood.requirement, shown, [client.trace])


async def _heartbeat(target: Target, *, brief: bool = False) -> PreflightResult:
    """See whether a heartbeat is answered; a `brief` look is one that no verdict hangs on."""
    asker = await _connected(target)
    soon = now() + target.limits["heartbeat_s"] / 2  # one that comes later is the server's own
    await asker.send({"type": "heartbeat", "id": PROBE})

    def unnamed() -> bool:
        """Whether a heartbeat came that is none of the server's own, as it follows `ready` too soon for that."""
        ready = asker.ready.index if asker.ready is not None else -1
        return any(
            message.type == "heartbeat"
            and "re" not in message
            and message.index > ready
            and message.at < soon
            for message in asker.messages
        )

    for wait in (READY_S,) if brief else (READY_S, target.options.patience_s):
        with suppress(Broken):
            await asker.message(lambda message: message.get("re") == PROBE, "a heartbeat", seconds=wait)
            return PreflightResult()
        if unnamed() or asker.ended:
            break
    missing = {"MSG-28": "a heartbeat with an id was answered without the matching re"}
    if not unnamed():
        missing["BEAT-5"] = "a heartbeat was not answered with a heartbeat"
    return PreflightResult(missing, absent=not brief)


async def _close(target: Target) -> PreflightResult:
    """See whether a Close frame has any consequence."""
    client = await _connected(target)
    patience = target.options.patience_s
    try:
        await client.leave(seconds=patience)
    except Broken:
        missing = {"CONN-22": f"a Close frame of the client was not answered within {patience:.15g} s"}
        return PreflightResult(missing, absent=True)
    return PreflightResult()


async def _cancel(target: Target) -> PreflightResult:
    """See whether a run that waits for something else can be cancelled meanwhile.

    Only where other runs show their terminals: a server without any has another fault.
    """
    deadline = target.limits.seconds("cancel_deadline_ms")
    bound = deadline + target.clock.tolerance + LATE_S
    try:
        if await _heeds(target, scripts.QUIET, bound):
            return PreflightResult()
        talking = await _heeds(target, scripts.ENDLESS, bound)
        if not talking:
            brief = await (await _connected(target, ready=True)).start(scripts.THREE_TOKENS)
            await brief.terminal(READY_S)
    except Broken:
        return PreflightResult()  # other cases tell what else is broken
    text = (
        f"a run was cancelled while its agent was waiting, as for a tool; no terminal arrived within {bound:.1f} s; "
        f"cancel_deadline_ms is {deadline * 1000:.15g}"
    )
    hint = "\na run whose agent was streaming did end in time: is a cancel handled only between agent steps?"
    return PreflightResult({"CANCEL-2": text + hint * talking})


async def _heeds(target: Target, script: str, seconds: float) -> bool:
    """Return whether a run is ended by a cancel within so many seconds; raises Broken when it does not begin."""
    client = await _connected(target, ready=True)
    run = await client.start(script)
    await run.next_event(READY_S)
    await asyncio.sleep(SETTLE_S)
    await client.cancel()
    try:
        await run.terminal(seconds)
    except Broken:
        return False
    finally:
        await client.end()
    return True


async def _connected(target: Target, *, ready: bool = False) -> Client:
    """Return a further connection; raises ServerUnusable when the server takes no more, NoRunwireServer when it is
    full, and Broken when its `ready` does not come.

    One that admits a single connection may not have noticed yet that the look before has let go of its own.
    """
    until = now() + READY_S
    while True:
        try:
            client = await target.connect(ready=False)
        except Blocked as problem:
            if now() > until:
                raise NoRunwireServer(f"{problem}; end other clients, or try again later") from None
            await asyncio.sleep(AGAIN_S)
        except Broken as problem:
            raise ServerUnusable("CONN-6", f"after a first handshake had been accepted: {problem}") from None
        else:
            client.expects_busy = True  # nobody else has any
            if ready:
                await target.await_ready(client)
            return client


def _unreadable(trace: Trace) -> Record | None:
    """Return the first thing the server sent that is no message."""
    sent = (record for record in trace.records if record.side == "server" and record.kind in SAID)
    return next((record for record in sent if record.message is None), None)
