"""`runwire record` and `runwire replay`: record a conversation and judge it later."""

import asyncio
import sys
from typing import IO, Annotated

import typer

from runwire_conformance.case import Blocked, Broken
from runwire_conformance.cli.shared.connection import Cafile, Config, Header, Token, Url, named, reached
from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.client.discovery.diagnosis import NoRunwireServer
from runwire_conformance.client.discovery.locate import ServerUnusable, locate
from runwire_conformance.client.target import Options, Target
from runwire_conformance.client.wire.http import Unanswered, Unreachable, address_of
from runwire_conformance.tools.formats.recording import Recording, Unreadable
from runwire_conformance.tools.recorder import MOST_HEAD, Proxy, RecordingFile, RecordingWriter
from runwire_conformance.tools.replay import report_of
from runwire_conformance.tools.validate import read
from runwire_conformance.trace.clock import Clock
from runwire_conformance.trace.printing import printable


def record(
    url: Url = "",
    prompt: Annotated[str, typer.Argument(help="prompt to send; not with --listen")] = "",
    output: Annotated[str, typer.Option("-o", help="the file to write (default: standard output)")] = "-",
    listen: Annotated[
        int | None, typer.Option(min=0, max=65535, help="record a client that connects to this local port")
    ] = None,
    sse: Annotated[bool, typer.Option("--sse", help="use an event stream")] = False,
    token: Token = "",
    header: Header = None,
    cafile: Cafile = "",
    config: Config = "",
) -> None:
    """Record a conversation for one prompt, or with --listen between your own client and a server.

    Credentials are left out.
    """
    url, prompt = named(url, prompt)
    if (listen is None) is not bool(prompt):
        fail("give either a prompt, or --listen PORT to record your own client")
    url, given = reached("record", url, token, header, cafile, config)
    secrets = [value.rpartition(" ")[2] for _, value in given.sent_headers]
    try:
        with _open_output(output) as file:
            writer = RecordingWriter(file, url, secrets)
            work = (
                _record_prompt(url, prompt, given, writer, sse)
                if listen is None
                else _record_proxy(url, listen, given, writer)
            )
            asyncio.run(work)
    except KeyboardInterrupt:
        said = f"recorded {writer.lines} lines" if writer.lines else "no messages, so nothing was recorded"
        print(f"runwire: {said}", file=sys.stderr)
    except OSError as problem:
        fail(f"{problem.filename or f'port {listen}'}: {problem.strerror}")
    except (NoRunwireServer, ServerUnusable, Broken, Blocked, Unreachable, Unanswered) as problem:
        fail(given.redaction.masked(str(problem)))


def replay(
    file: Annotated[str, typer.Argument(help="a recording or a HAR file; - for standard input")],
    strict: Annotated[bool, typer.Option("--strict", help="also fail on advice")] = False,
) -> None:
    """Judge a recording: a verdict for every requirement that it shows."""
    try:
        recording = read(file)
    except Unreadable as problem:
        fail(str(problem))
    if not isinstance(recording, Recording):
        fail(f"{file} holds messages, not a recorded conversation; use: runwire validate {file}")
    report = report_of(recording)
    for remark in recording.remarks:
        print(printable(remark))
    print(report.text)
    raise typer.Exit(report.exit_code(strict))


def _open_output(output: str) -> RecordingFile | IO[str]:
    return RecordingFile(output) if output != "-" else open(1, "w", encoding="utf-8", closefd=False)


async def _record_prompt(url: str, prompt: str, given: Options, writer: RecordingWriter, sse: bool) -> None:
    """Play one run and record its messages."""
    target = Target(await locate(url, given), given, Clock())
    try:
        if sse:
            stream = await target.start_stream(prompt)
            run = await stream.run()
            await run.terminal(seconds=target.limits["run_s"])
            await stream.finished()
        else:
            client = await target.connect(ready=False)
            run = await client.start(prompt)
            await run.terminal(seconds=target.limits["run_s"])
            await client.leave()
    finally:
        await target.end()
        for connection, trace in enumerate(target.traces, start=1):
            for record in trace.records:
                writer.write(trace.transport, connection, record)


async def _record_proxy(url: str, port: int, given: Options, writer: RecordingWriter) -> None:
    """Run a proxy between a client and the server until Ctrl-C."""
    try:
        address = address_of(url)
    except ValueError as problem:
        raise NoRunwireServer(str(problem)) from None
    proxy = Proxy(address, given, writer)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port, limit=MOST_HEAD)
    here = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(f"runwire: point the client at {here}; Ctrl-C ends the recording", file=sys.stderr, flush=True)
    async with server:
        await server.serve_forever()
