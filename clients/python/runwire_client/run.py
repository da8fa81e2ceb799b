"""One run, followed until its end."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, cast

from runwire_client.messages import DoneMessage, ErrorMessage, RunEvent
from runwire_client.options import Options, Token, Transport
from runwire_client.problem import RunwireError
from runwire_client.session import Session

Kind = Literal["event", "state", "anew", "notice", "wire"]

_END: Any = None


class Run:
    """One run, followed until its end.

    It begins when it is made, in a running event loop. `async for` gives the events of its log, each one, in order,
    once; `on` tells of everything else.

    `prompt` is what the agent is asked, or None to follow the run `run_id`, as a second viewer does. `discovery` is the
    URL of the server, of its discovery document, or of its WebSocket (`ws:`, without fallback). `token` is a bearer
    token, or a function that is called with the token that was refused, None at first, and returns one or an awaitable
    of one. It and the `headers` go to the origin of `discovery` and nowhere else ([CONN-5]); with `tickets` a ticket
    for a single use opens the WebSocket in their place, where the server issues them. `tls` says whom to trust.

    Raises ValueError when `discovery` is no URL of a server.
    """

    def __init__(
        self,
        prompt: str | None,
        *,
        discovery: str,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        tickets: bool = False,
        transport: Transport = "auto",
        run_id: str | None = None,
        session_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        on_disconnect: Literal["grace", "cancel", "continue"] | None = None,
        traceparent: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        options = Options(
            discovery,
            token=token,
            headers=tuple((headers or {}).items()),
            tickets=tickets,
            transport=transport,
            session_id=session_id,
            inputs=None if inputs is None else dict(inputs),
            on_disconnect=on_disconnect,
            traceparent=traceparent,
            tls=tls,
        )
        self.state = "connecting"
        self._listeners: dict[str, list[Callable[[Any], object]]] = {}
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._session = Session(options, prompt, run_id or secrets.token_urlsafe(16), self._emit)
        #: Resolves to the run when it has ended, could not be followed any more, or was left.
        self.finished: asyncio.Task[Run] = asyncio.create_task(self._follow())

    @property
    def id(self) -> str:
        """The identifier of the run ([RUN-11])."""
        return self._session.log.id

    @property
    def text(self) -> str:
        """The answer text as of now ([EVENT-6])."""
        return self._session.log.text

    @property
    def cursor(self) -> int:
        """The `seq` of the last event."""
        return self._session.log.cursor

    @property
    def ended(self) -> DoneMessage | ErrorMessage | None:
        """The terminal, `done` or `error`, once it came."""
        return cast(DoneMessage | ErrorMessage | None, self._session.log.ended)

    @property
    def failure(self) -> RunwireError | None:
        """Why the run is not followed any more without a terminal."""
        return self._session.failure

    @property
    def transport(self) -> str:
        """The transport as of now, `websocket` or `sse`."""
        return self._session.transport

    def on(self, kind: Kind, listener: Callable[[Any], object]) -> Callable[[], None]:
        """Call `listener` with what there is to say of a kind; returns what ends that.

        `event`: an event of the log. `state`: `{"state", "detail", "wait_s"}`, the connection changed. `notice`:
        `{"code", "data"}`, what ends nothing, such as an answer that was refused, then with its `request_id`. `anew`:
        the log is gone and begins anew, forget what was shown. `wire`: `{"direction", "text"}`, what goes over the
        wire, without credentials.
        """
        listeners = self._listeners.setdefault(kind, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener) if listener in listeners else None

    def cancel(self) -> None:
        """Ask the server to stop; the log tells how the run ended ([CANCEL-15])."""
        self._session.cancel()

    def answer(self, request_id: str, data: object) -> None:
        """Answer an `input_request`; said again until the server has it."""
        if not self._session.over:
            self._session.outbox.add("input", {"request_id": request_id, "data": data})

    def leave(self) -> None:
        """Stop following; the run goes on as its `on_disconnect` says."""
        self._session.leave()

    def drop(self) -> None:
        """Break the connection off, as a network would; the run is resumed."""
        self._session.break_off()

    async def __aiter__(self) -> AsyncIterator[RunEvent]:
        """Yield the events that were not yielded yet, until the run is over."""
        while True:
            if (event := await self._events.get()) is _END:
                self._events.put_nowait(_END)  # for whoever else waits
                return
            yield event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        await self.finished

    async def _follow(self) -> "Run":
        try:
            await self._session.follow()
        finally:
            self._events.put_nowait(_END)
        return self

    def _emit(self, kind: str, detail: Any) -> None:
        if kind == "state":
            self.state = detail["state"]
        elif kind == "event":
            self._events.put_nowait(detail)
        for listener in [*self._listeners.get(kind, ())]:
            listener(detail)
