"""Rate limit on client frames ([LIMIT-15]), and deferred Pongs while the peer reads nothing."""

import time
from collections.abc import Callable

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from runwire_reference_server.transports.handshake import Handshake

#: Frames that a client may send at once, and how many more in every second after that ([LIMIT-14]); control frames and
#: fragments count, as an empty Ping of six bytes costs about as much as a message of a hundred.
MOST_AT_ONCE = 2000
FRAMES_PER_S = 200.0

#: How many frames beyond this are taken before the connection ends with ABUSE: more than two slices can hold, so that
#: the client was told before ([LIMIT-9]).
TOLERATED = 4000

#: How many seconds a client is told to wait that sends too many.
WAIT_S = 5.0

#: The close code for a client that sends too many frames all the same.
ABUSE = 4429


class Intake(Handshake):
    """The server's side of the frames of one connection.

    `takes` tells whether the peer's socket takes what is sent, `warn` is called when it has sent too many frames.
    """

    takes: Callable[[], bool]
    warn: Callable[[], None]
    _room = float(MOST_AT_ONCE)
    _counted_at = 0.0
    _warned = False
    _unanswered: bytes | bytearray | memoryview | None = None

    def recv_frame(self, frame: Frame) -> None:
        """Process an incoming frame."""
        self._count()
        if self.abused:
            return
        if frame.opcode is Opcode.PING and not self.takes():
            self._unanswered = frame.data  # RFC 6455 section 5.5.3: only the latest Ping needs an answer
            return
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None  # it may come amid the fragments of a message, which then has no end
        super().recv_frame(frame)

    @property
    def abused(self) -> bool:
        """Whether the connection ended because the client sent too many frames."""
        return self.close_sent is not None and self.close_sent.code == ABUSE

    def send_pong_that_waits(self) -> None:
        """Answer the latest Ping that came while the peer took nothing."""
        if self._unanswered is not None and self.state is State.OPEN:
            self.send_pong(self._unanswered)
            self._unanswered = None

    def _count(self) -> None:
        now = time.monotonic()
        self._room = min(float(MOST_AT_ONCE), self._room + (now - self._counted_at) * FRAMES_PER_S) - 1
        self._counted_at = now
        if self._room < -TOLERATED:
            self.fail(ABUSE)
        elif self._room < 0 and not self._warned:
            self._warned = True
            self.warn()
        elif self._room > MOST_AT_ONCE / 2:
            self._warned = False
