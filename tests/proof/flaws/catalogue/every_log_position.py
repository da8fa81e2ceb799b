"""Flaws that show at one place of a log and at no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tests.proof.flaws.flaw import flaw
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_event, less

from .http import is_cancel


@flaw("CANCEL-1")
class CancelsBehindTheSeventhEventIgnored(Rewrite):
    """A cancel is ignored behind the seventh event of a log, and there alone."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not (message.get("type") == "cancel" and 7 in link.followed.values()):
            yield message


@flaw("HTTP-8")
class PostedCancelsBehindTheSecondEventIgnored(Rewrite):
    """A cancel over HTTP has no effect on a run that has said two things."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, int] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        if is_event(message):
            self.last[message["run_id"]] = message["seq"]
        yield message

    def request(self, request: Request) -> Request | Response:
        run_id = request.target.removesuffix("/cancel").rpartition("/")[2]
        if not is_cancel(request) or self.last.get(run_id) != 2:
            return request
        status = replace(request, method="GET", target=request.target.removesuffix("/cancel"), body=b"")
        return status.without_header("content-length", "content-type")


@flaw("HTTP-8", clause="the same rules, for other runs")
class PostedCancelsStopOthers(Rewrite):
    """A cancel over HTTP stops all other runs that are read, too."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[str, Message] = {}
        self.stopped: set[str] = set()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        run_id = str(message.get("run_id"))
        if message.get("type") == "started":
            self.read[run_id] = message
        if not is_event(message) or run_id not in self.stopped:
            yield message
        elif run_id in self.read:
            said = {name: message[name] for name in ("run_id", "seq", "ts") if name in message}
            end = {"type": "done", "data": "", "status": "cancelled", "reason": "user"}
            yield {**end, **said, "trace_id": self.read.pop(run_id)["trace_id"]}

    def request(self, request: Request) -> Request | Response:
        if is_cancel(request):
            self.stopped |= self.read.keys() - {request.target.removesuffix("/cancel").rpartition("/")[2]}
        return request


class JoinedLive(Rewrite):
    """Loses the event behind one place of the log for readers that join a live run there."""

    place: int
    stream: bool

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        live = message.get("type") == "resumed" and message.get("status") == "running"
        if live and message["next_seq"] == self.place + 1 and link.is_stream is self.stream:
            link.notes["lost"] = self.place + 1
        lost = is_event(message) and message["seq"] == link.notes.get("lost")
        if not lost:
            yield message


@flaw("RESUME-10")
class LiveReadersMissTheSixthEvent(JoinedLive):
    """A reader that joins a live run behind its fifth event misses the sixth."""

    place, stream = 5, False


@flaw("SSE-5")
class LiveStreamsMissTheFirstEvent(JoinedLive):
    """A stream of a whole log misses the first event while the run is live."""

    place, stream = 0, True


@flaw("SSE-5")
class PostedStreamsNameNoSubAgent(Rewrite):
    """The stream of a start leaves out which sub-agent thinks."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        posted = link.is_stream and link.request.method == "POST" and message.get("type") == "thinking"
        yield less(message, "agent") if posted else message
