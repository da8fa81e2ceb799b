"""A server that does in an odd way what it may do is accused of nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urlsplit

import pytest

from tests.proof.flaws.flaw import Stand, discovery
from tests.proof.flaws.frames import Frame, text_frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.inserting import Inserting
from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.flaws.link import Link
from tests.proof.flaws.proxy import Proxy
from tests.proof.flaws.rewrite import Action, Message, Rewrite
from tests.proof.flaws.stand import start_server
from tests.support.check_reference_server import CHECK_LIMITS

pytestmark = pytest.mark.whole

SEQ = re.compile(r'("(?:seq|first_seq|next_seq|last_seq)": ?\d+)(?=[,}])')


class ClosedCalls(Inserting):
    """Calls that are open when their run is cancelled end with a final observation of the server's own ([CANCEL-3])."""

    def __init__(self) -> None:
        super().__init__()
        self._open: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def grow(self, link: Link, event: Message) -> list[Message]:  # noqa: ARG002
        calls = self._open[event["run_id"]]
        if event["type"] == "tool_call":
            calls[event["call_id"]] = event["seq"]
        elif event["type"] == "observation" and not event.get("partial"):
            calls.pop(event["call_id"], None)
        elif event.get("status") == "cancelled":
            closing = {"type": "observation", "run_id": event["run_id"], "content": None, "is_error": True}
            return [*({**closing, "call_id": call} for call in calls), event]
        return [event]


class WrittenNumbers(Rewrite):
    """Places in a log are written with a fraction of zero, which breaks [MSG-37] and nothing else."""

    def text(self, link: Link, text: str) -> Iterable[Frame] | None:
        return None if link.is_stream else [text_frame(SEQ.sub(r"\1.0", text))]

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        yield message

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:  # noqa: ARG002
        yield SEQ.sub(r"\1.0", block.decode()).encode()


class DottedPlaces(Rewrite):
    """Discovery gives the place of the runs with its host and with dot segments (RFC 3986, 5.2.4)."""

    host = ""

    def response(self, request: Request, response: Response) -> Response:  # noqa: ARG002
        if document := discovery(response):
            runs = f"//{self.host}/x/../v1/./runs"
            said = {**document, "endpoints": {**document["endpoints"], "runs": runs}}
            return response.with_body(json.dumps(said).encode())
        return response


@pytest.mark.parametrize(
    ("odd", "requirements"),
    [
        (ClosedCalls, "CANCEL-1,HTTP-8"),
        (WrittenNumbers, "CANCEL-1,HTTP-8,RESUME-10,RUN-28,SSE-5,SSE-7,SSE-17,SSE-21"),
        (DottedPlaces, "HTTP-2,HTTP-3,HTTP-5,RUN-18,SSE-4"),
    ],
)
def test_what_is_odd_and_allowed_is_no_fault(odd: type[Rewrite], requirements: str) -> None:
    async def run() -> Verdicts:
        server = await start_server(Stand(limits=CHECK_LIMITS))
        rewrite = odd()
        rewrite.limits = server.limits
        try:
            async with Proxy(server.url, rewrite).listening() as proxy:
                if isinstance(rewrite, DottedPlaces):
                    rewrite.host = urlsplit(proxy.url).netloc
                return await judge(proxy.url, ["--requirement", requirements])
        finally:
            await server.stop()

    verdicts = asyncio.run(run())

    assert verdicts.blamed == (), verdicts.output
    assert verdicts.exit_code == 0, verdicts.output
