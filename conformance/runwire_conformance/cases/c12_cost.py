"""Chapter 12: isolation from expensive clients: no client can block the server for others."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from urllib.parse import urlsplit

from websockets.frames import Opcode

from runwire_conformance.case import NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.situations.hostile_clients import (
    ANSWERED_S,
    FLOOD_S,
    HostileWebSocket,
    expect_another_served,
    head,
    hostile_websocket,
    request_begun,
    timely,
    while_others_are_served,
)
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.client.wire.websocket import FramePeer
from runwire_conformance.fuzz.costly_texts import READ, REFUSED, nested, texts, wide
from runwire_conformance.trace.limits import Limits

#: Frames of a flood, by far more than [LIMIT-14] grants: a server that bounds them ([LIMIT-15]) takes a few of them.
FRAMES = 20_000

#: Chunks of one byte that a body comes in.
CHUNKS = 100_000

#: How often the same is asked for again, and how many bytes of log that brings at most each time.
TIMES, LOG_BYTES = 20, 100_000

#: How many of the largest prompts are sent.
PROMPTS = 8

#: Requests that are half sent, and readers that take nothing, where there is room for as many.
MANY = 6


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a frame, to be sent again and again as it is."""
    return FramePeer.frame(opcode, data, fin=fin)


#: By what they are made of: how floods begin, and what is sent FRAMES times.
FLOODS: Mapping[str, tuple[bytes, bytes]] = {
    "Pings": (b"", frame(Opcode.PING)),
    "Pongs": (b"", frame(Opcode.PONG)),
    "heartbeats": (b"", frame(Opcode.TEXT, b'{"type":"heartbeat"}')),
    "cancels of nothing": (b"", frame(Opcode.TEXT, b'{"type":"cancel"}')),
    "fragments": (frame(Opcode.TEXT, b"{", fin=False), frame(Opcode.CONT, fin=False)),
}


@proves("LIMIT-17", "LIMIT-18", connections=2, alone=True, timing=True, deadline_s=60)
async def a_text_that_is_costly_to_read_stops_nobody(target: Target, limits: Limits) -> None:
    most = limits.whole("max_message_bytes")
    refused = [*texts(REFUSED, most), ("arrays within arrays", nested(most))]

    async def harm() -> None:
        for name, text in refused:
            async with hostile_websocket(target, f"{name}, {len(text)} bytes") as line:
                before = line.answers
                await line.text(text)
                await timely(target.clock, line.acted(before), "LIMIT-18", f"a text of {name}")
        for name, text in [*texts(READ, most), ("an object of many members", wide(most))]:
            async with hostile_websocket(target, f"{name}, {len(text)} bytes") as line:
                # What was let go of before the server came to it would have stopped nobody.
                await line.flood(frame(Opcode.TEXT, text), ANSWERED_S + target.clock.tolerance)

    await while_others_are_served(target, harm())


@proves("LIMIT-17", connections=2, alone=True, timing=True, deadline_s=60)
async def a_flood_of_frames_stops_nobody(target: Target) -> None:
    async def harm() -> None:
        for name, (begin, further) in FLOODS.items():
            async with hostile_websocket(target, f"{FRAMES} {name}") as line:
                await line.flood(begin + further * FRAMES)

    await while_others_are_served(target, harm())


@proves("LIMIT-17", script=True, connections=2, alone=True, timing=True, deadline_s=60)
async def asking_for_a_log_again_and_again_stops_nobody(target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    text = "x" * 400
    prompt = target.own(scripts.script(scripts.repeat(int(LOG_BYTES / 550), scripts.token(text))))
    start = {"type": "start", "run_id": new_run_id(), "prompt": prompt, "on_disconnect": "continue"}
    run = await (await target.connect()).start(prompt, run_id=start["run_id"], on_disconnect="continue")
    await run.terminal()
    again = {"resume": {"type": "resume", "run_id": run.id, "after": 0}, "start": start}

    async def harm() -> None:
        for name, message in again.items():
            async with hostile_websocket(target, f"{TIMES} times {name} of one run, nothing read") as line:
                line.stop_reading()
                await line.send(frame(Opcode.TEXT, json.dumps(message).encode()) * TIMES)
        if "sse" in target.features:
            for _ in range(TIMES):
                await asked_for_a_stream(target, run.id)

    await while_others_are_served(target, harm())


async def asked_for_a_stream(target: Target, run_id: str) -> None:
    """Ask for the events of a run, and leave when the first bytes of the answer came."""
    url = target.run_url(run_id, "/events")
    data = head(target, "GET", urlsplit(url).path, url, "Accept: text/event-stream") + b"\r\n"
    async with request_begun(target, data, url) as reader:
        await timely(target.clock, reader.read(1), "LIMIT-17", "a request for a stream")


@proves("LIMIT-17", script=True, connections=2, alone=True, timing=True, deadline_s=60)
async def the_largest_prompts_stop_nobody(target: Target, limits: Limits) -> None:
    room = min(limits.whole("max_message_bytes"), 1_048_576) - 200
    script = scripts.script(scripts.wait(10_000))
    prompt = script + " " * (room - len(json.dumps(script)))

    async def harm() -> None:
        async with hostile_websocket(target, f"{PROMPTS} prompts of {room} bytes, each cancelled") as line:
            for _ in range(PROMPTS):
                before = line.answers
                await line.text(json.dumps({"type": "start", "prompt": prompt}).encode())
                await timely(target.clock, line.acted(before), "LIMIT-17", "a start")
                await line.text(b'{"type":"cancel"}')

    await while_others_are_served(target, harm())


@proves("LIMIT-17", script=True, connections=2, alone=True, timing=True, deadline_s=60)
async def readers_that_take_nothing_stop_nobody(target: Target, limits: Limits) -> None:
    size = int(min(limits["log_bytes"] * 0.5, 1_000_000))
    prompt = target.own(scripts.script(scripts.repeat(size // 4000, scripts.token("x" * 3800))))
    many = min(MANY, int(limits["connections_per_principal"]) - 2)

    async def harm() -> None:
        async with AsyncExitStack() as stack:
            for number in range(many):
                if number % 2 and "sse" in target.features:
                    await stack.enter_async_context(stream_unread(target, prompt))
                else:
                    line = await stack.enter_async_context(
                        hostile_websocket(target, "a run of which nothing is read", small_buffer=True)
                    )
                    await unread(line, prompt)
            await asyncio.sleep(target.clock.tolerance)  # what is sent fills their buffers meanwhile
            await expect_another_served(target)

    await while_others_are_served(target, harm())


async def unread(line: HostileWebSocket, prompt: str) -> None:
    """Start a run and take nothing of it."""
    line.stop_reading()
    await line.text(json.dumps({"type": "start", "prompt": prompt, "on_disconnect": "cancel"}).encode())


def stream_unread(target: Target, prompt: str) -> AbstractAsyncContextManager[asyncio.StreamReader]:
    """Start a run as a stream and take nothing of it."""
    url = target.runs_url
    body = json.dumps({"prompt": prompt, "on_disconnect": "cancel"}).encode()
    lines = ("Accept: text/event-stream", "Content-Type: application/json", f"Content-Length: {len(body)}")
    return request_begun(target, head(target, "POST", urlsplit(url).path, url, *lines) + b"\r\n" + body, url)


@proves("LIMIT-17", connections=2, alone=True, timing=True, deadline_s=60)
async def a_body_of_very_small_chunks_stops_nobody(target: Target) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server takes no bodies")
    url = target.runs_url
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    data = (
        head(target, "POST", urlsplit(url).path, url, *lines)
        + b"\r\n"
        + b"1\r\nx\r\n" * CHUNKS
        + b"0\r\n\r\n"
    )

    async def harm() -> None:
        async with request_begun(target, data, url) as reader:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(FLOOD_S):
                    await reader.read(1)

    await while_others_are_served(target, harm())


def halves(target: Target) -> Iterator[bytes]:
    """Yield the first parts of requests that nobody finishes."""
    url = target.profile.websocket_url.replace("ws", "http", 1)
    path = urlsplit(url).path or "/"
    yield f"GET {path} HTT".encode()
    yield head(target, "GET", path, url)
    yield head(target, "GET", path, url, "Upgrade: websocket", "Connection: Upgrade") + b"Sec-WebSocket-K"
    if "sse" in target.features:
        runs = urlsplit(target.runs_url).path
        lines = ("Content-Type: application/json", "Content-Length: 60000")
        yield head(target, "POST", runs, target.runs_url, *lines) + b'\r\n{"prompt":"'


@proves("LIMIT-17", connections=2, alone=True, timing=True, deadline_s=60)
async def requests_that_are_half_sent_stop_nobody(target: Target) -> None:
    url = target.profile.websocket_url.replace("ws", "http", 1)

    async def harm() -> None:
        async with AsyncExitStack() as stack:
            for half in halves(target):
                for _ in range(MANY):
                    await stack.enter_async_context(request_begun(target, half, url))
            await expect_another_served(target)

    await while_others_are_served(target, harm())
