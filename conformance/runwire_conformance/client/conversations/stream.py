"""Event stream (SSE) of a run."""

import asyncio

from runwire_conformance.client.conversations.conversation import ANSWER_S, Conversation
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.wire.http import HttpExchange, Response, Unanswered
from runwire_conformance.client.wire.sse import Block, BlockParser, EndlessLine
from runwire_conformance.client.wire.websocket import most_message_bytes
from runwire_conformance.trace.clock import Interval
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import RESPONSE_ENDED, Trace


class Stream(Conversation):
    """An open event stream: the messages, and the blocks they came in."""

    def __init__(
        self,
        exchange: HttpExchange,
        response: Response,
        trace: Trace,
        limits: Limits,
        clock: Interval,
        place: str,
    ) -> None:
        super().__init__(trace, limits, clock)
        self.response = response
        #: The URL of the run's events, from `Location` or as it was asked.
        self.place = place
        self.blocks: list[Block] = []
        #: The messages so far, each with the block it came in.
        self.blocks_and_messages: list[tuple[Block, Message]] = []
        #: Whether the response ended as HTTP demands, and what the end cut off.
        self.complete = False
        self.cut_off: Block | None = None
        self._exchange = exchange
        self._parser = BlockParser(most_message_bytes(limits))
        self._reading = asyncio.create_task(self._read())

    async def run(self) -> Run:
        """Return the run, once its `started` or `resumed` came; raises Broken."""
        owners = ("SSE-3",) if self.trace.title.startswith("POST") else ("SSE-4",)
        opening = await self.message(
            lambda message: message.type in {"started", "resumed"},
            "started or resumed",
            owners=owners,
            certain=True,
        )
        return Run(self, opening.get("run_id"), opening.index, opening)

    async def first_block(self) -> Block:
        """Return the first block; raises Broken."""
        await self.wait_until(
            lambda: bool(self.blocks), ANSWER_S, "the opening block", ("SSE-2",), certain=True
        )
        return self.blocks[0]

    async def finished(self, seconds: float = ANSWER_S) -> None:
        """Wait until the response has ended; raises Broken."""
        owners = ("SSE-10",)
        await self.wait_until(lambda: self.ended, seconds, "the response to end", owners, certain=True)

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
                if self.trace.flooded_at:
                    if self.trace.count(len(data)):
                        await self._announce()
                        return
                    continue
                for block in parser.feed(data):
                    self._block(block)
                await self._announce()
                if self.trace.flood():
                    await self._announce()
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
        if block.fields:  # one of comments alone says nothing
            self.blocks.append(block)
        shown = "\n".join(f"{name}: {value}" for name, value in block.fields)
        data = block.data
        message = self._received(data) if data is not None else None
        if message is not None:
            self.blocks_and_messages.append((block, message))
        self.trace.add("server", "block", shown, message)
