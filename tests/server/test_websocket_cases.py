"""The WebSocket layer against Autobahn's list of cases, as kosoku runs it: every one that applies passes."""

from __future__ import annotations

import asyncio
from typing import Any

import kosoku
import pytest
import uvicorn

from runwire_reference_server.transports import intake
from runwire_reference_server.transports.wire.websocket_frames import WireProtocol

#: Cases of permessage-deflate, which is never negotiated ([CONN-10]).
WITHOUT = ["12.*", "13.*"]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send back every message."""
    assert scope["type"] == "websocket"
    while (event := await receive())["type"] != "websocket.disconnect":
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


@pytest.mark.whole
def test_the_websocket_layer_passes_the_list_of_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        intake, "MOST_AT_ONCE", 1_000_000
    )  # a message in 16,384 fragments is one of the cases
    config = uvicorn.Config(
        echo, host="127.0.0.1", port=0, ws=WireProtocol, ws_max_size=32 << 20, ws_per_message_deflate=False,
        log_level="error", lifespan="off", ws_ping_interval=60, ws_ping_timeout=60,
    )  # fmt: skip

    async def run() -> list[Any]:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            results: list[Any] = await kosoku.run_fuzzingclient(f"127.0.0.1:{port}", exclude_cases=WITHOUT)
        except kosoku.FailureError as failure:
            results = failure.results
        server.should_exit = True
        await serving
        return results

    results = asyncio.run(run())

    failed = [(case.case_id, case.result, case.result_close) for case in results if not case.passed]
    assert failed == []
    assert len(results) > 200
