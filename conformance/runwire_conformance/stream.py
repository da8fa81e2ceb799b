"""A run read as server-sent events, as cases use it."""

import asyncio

from runwire_conformance.bounds import Clock, Limits
from runwire_conformance.conversation import ANSWER_S, Conversation, Run
from runwire_conformance.trace import RESPONSE_ENDED, Trace
from runwire_conformance.wire.http import Exchange, Response, Unanswered
from runwire_conformance.wire.sse import Block, BlockParser, EndlessLine
from runwire_conformance.wire.websocket import most_message_bytes


class Stream(Conversation):
    """An open event stream: the messages, and the blocks they came in."""

    def __init__(
        self, exchange: Exchange, response: Response, trace: Trace, limits: Limits, clock: Clock, place: str
    ) -> None:
        super().__init__(trace, limits, clock)
        self.response = response
        #: The URL of the run's events, from `Location` or as it was asked.
        self.place = place
        self.blocks: list[Block] = []
        #: Whether the response ended as HTTP demands, and what the end cut off.
        self.complete = False
        self.cut_off: Block | None = None
        self._exchange = exchange
        self._parser = BlockParser(most_message_bytes(limits))
        self._reading = asyncio.create_task(self._read())

    async def run(self) -> Run:
        """Return the run, once its `started` or `resumed` came; raises Broken."""
        opening = await self.message(
            lambda message: message.type in {"started", "resumed"}, "started or resumed"
        )
        return Run(self, opening.get("run_id"), opening.index, opening)

    async def first_block(self) -> Block:
        """Return the first block; raises Broken."""
        await self.wait_until(lambda: bool(self.blocks), ANSWER_S, "the opening block")
        return self.blocks[0]

    async def finished(self, seconds: float = ANSWER_S) -> None:
        """Wait until the response has ended; raises Broken."""
        await self.wait_until(lambda: self.ended, seconds, "the response to end")

    def unfinished(self) -> int:
        """Return how many bytes have come of an event that no blank line has closed yet."""
        return self._parser.unfinished

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        self.trace.add("client", "lost", "cut by the client")
        self._exchange.abort()
        self._reading.cancel()

    async def end(self) -> None:
        """Let go of the stream, however it stands."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._exchange.close()

    async def _read(self) -> None:
        parser = self._parser
        try:
            async for data in self._exchange.chunks():
                for block in parser.feed(data):
                    self._block(block)
                await self._announce()
                if self.trace.flood():
                    await self._announce()
                    return
            self.complete = True
        except EndlessLine as problem:
            self.trace.exceed("EVENT-20", str(problem))
            self._exchange.abort()
            await self._finished()
            return
        except (Unanswered, UnicodeDecodeError) as problem:
            self.trace.add("server", "lost", str(problem))
        self.cut_off = parser.end()
        self.trace.add("server", "lost", RESPONSE_ENDED)
        await self._finished()

    def _block(self, block: Block) -> None:
        self.blocks.append(block)
        shown = "\n".join(f"{name}: {value}" for name, value in block.fields)
        data = block.data
        self.trace.add("server", "block", shown, self._received(data) if data is not None else None)
