"""A server that ends streams and connections at the age that it states is accused of nothing for that."""

from __future__ import annotations

import asyncio

import pytest

from tests.proof.flaws.flaw import Describes, Stand
from tests.proof.flaws.judge import Verdicts, judge
from tests.proof.flaws.link import Link
from tests.proof.flaws.proxy import Proxy
from tests.proof.flaws.rewrite import Message
from tests.proof.flaws.stand import start_server
from tests.support.check_reference_server import CHECK_LIMITS

pytestmark = pytest.mark.whole

BEYOND_S = 0.05
"""By how much later than stated an end comes: no clock may see it early."""


class EndedForTheirAge(Describes):
    """Every stream and connection is ended at the age that the server states."""

    stream_s = 2.0
    code = 4000

    def described(self, description: Message) -> Message:
        return {**description, "limits": {**description["limits"], "stream_s": self.stream_s}}

    async def watch(self, link: Link) -> None:
        await asyncio.sleep(self.stream_s + BEYOND_S)
        if not link.over:
            await link.close(self.code)


@pytest.mark.parametrize(("stream_s", "code"), [(2, 4000), (3, 1012), (6, 4001)])
def test_an_end_at_the_stated_age_is_no_fault(stream_s: float, code: int) -> None:
    async def run() -> Verdicts:
        server = await start_server(Stand(limits=CHECK_LIMITS))
        rewrite = EndedForTheirAge()
        rewrite.stream_s, rewrite.code, rewrite.limits = stream_s, code, server.limits
        try:
            async with Proxy(server.url, rewrite).listening() as proxy:
                return await judge(proxy.url)
        finally:
            await server.stop()

    verdicts = asyncio.run(run())

    assert verdicts.blamed == (), verdicts.output
    assert verdicts.exit_code == 0, verdicts.output
    # At 6 s every case may be quick enough.
    assert (
        stream_s == 6
        or f"stream_s (advertised {stream_s}) expired before the case was over" in verdicts.output
    )
    assert verdicts.by_requirement["CLOSE-10"] == verdicts.by_requirement["LIMIT-6"] == "pass" or stream_s < 6
