"""Passive reader of WebSocket frames in one direction."""

from collections.abc import Generator

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader as FrameReader

from runwire_conformance.client.wire.websocket import MAX_MESSAGE, MessageSize, MessageTooLarge
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.message import parsed
from runwire_conformance.trace.trace import Record, Side


class FrameTap:
    """Reads the frames that pass in one direction."""

    def __init__(self, side: Side) -> None:
        self._side: Side = side
        self._reader = FrameReader()
        self._parsing: Generator[None, None, Frame] | None = None
        self._whole = bytearray()
        self._measure = MessageSize()
        self._kind = Opcode.TEXT
        self._deaf = False

    def feed(self, data: bytes) -> list[Record]:
        """Return what `data` completes; after bytes that are no frames, nothing more."""
        if self._deaf:
            return []
        self._reader.feed_data(data)
        records: list[Record] = []
        try:
            while (frame := self._next()) is not None:
                records += self._frame(frame)
        except (ProtocolError, PayloadTooBig, MessageTooLarge) as problem:
            self._deaf, self._whole = True, bytearray()
            what = "no frame of RFC 6455: " if isinstance(problem, ProtocolError) else "too much to record: "
            records.append(self._record("raw", f"{what}{problem}"))
        return records

    def _next(self) -> Frame | None:
        if self._parsing is None:
            masks = self._side == "client"
            self._parsing = Frame.parse(self._reader.read_exact, mask=masks, max_size=MAX_MESSAGE)
        try:
            next(self._parsing)
        except StopIteration as done:
            self._parsing = None
            frame: Frame = done.value
            return frame
        return None

    def _frame(self, frame: Frame) -> list[Record]:
        self._measure.take(frame)
        data = bytes(frame.data)
        if frame.opcode in {Opcode.PING, Opcode.PONG}:
            return [self._record(frame.opcode.name.lower(), data.hex())]
        if frame.opcode is Opcode.CLOSE:
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
            return [Record(now(), self._side, "close", "", None, code)]
        if frame.opcode is not Opcode.CONT:
            self._whole, self._kind = bytearray(), frame.opcode
        self._whole += data
        if not frame.fin:
            return []
        whole, self._whole = bytes(self._whole), bytearray()
        if self._kind is Opcode.BINARY:
            return [self._record("binary", f"{len(whole)} bytes")]
        try:
            text = whole.decode()
        except UnicodeDecodeError:
            return [self._record("raw", "a text message that is not UTF-8")]
        return [Record(now(), self._side, "text", text, parsed(text))]

    def _record(self, kind: str, payload: str) -> Record:
        return Record(now(), self._side, kind, payload)
