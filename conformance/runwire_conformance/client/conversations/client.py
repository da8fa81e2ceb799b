"""WebSocket client of a case: its requests and the responses it accepts."""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runwire_conformance.case import Blocked, Broken, NoServerFault, NotJudged, Violation
from runwire_conformance.client.conversations.connection import OpenConnection
from runwire_conformance.client.conversations.conversation import ANSWER_S, Owners
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.view import expect_to_fit
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.limits import RUNS
from runwire_conformance.trace.message import Message
from runwire_spec import registries

#: Seconds to wait for what must have come already.
AT_ONCE_S = 0.1

#: By the type of a client's message: the sentences that order its answer.
ANSWERS: Mapping[str, Owners] = {
    "start": ("RUN-3",),
    "resume": ("RESUME-9",),
    "heartbeat": ("BEAT-5",),
    "cancel": ("CANCEL-10",),
}

#: By its code: the sentences that a refusal of a good `start` may break.
REFUSED_BY: Mapping[str, Owners] = {
    "busy": ("RUN-23", "LIMIT-4"),
    "bad_request": ("MSG-20", "MSG-22", "RUN-1"),
}

#: Codes that end no run.
REFUSALS = frozenset(row["code"] for row in registries()["errors"] if row["use"] == "refusal")


class Client(OpenConnection):
    """An open WebSocket connection on which the protocol is spoken."""

    #: Whether the case counts places itself, so that `busy` is what it looks for.
    expects_busy = False
    #: Makes a prompt one that no other case sends.
    own: Callable[[str], str] = str

    @property
    def ready(self) -> Message | None:
        """The connection's `ready`, if it came."""
        first = self.messages[0] if self.messages else None
        return first if first is not None and first.type == "ready" else None

    async def ask(self, message: dict[str, Any], seconds: float = ANSWER_S) -> Message:
        """Send a message with an `id` and return the message that answers it; raises Broken."""
        if "MSG-28" in self.broken:
            raise Blocked("MSG-28")
        identifier = message.get("id") or f"q{secrets.token_hex(4)}"
        after = len(self.messages) - 1
        await self.send({**message, "id": identifier})
        kind = message.get("type", "start")
        return await self._answer(
            identifier, f"an answer to {kind} with re {identifier!r}", after, seconds, kind
        )

    async def _answer(self, identifier: str, expected: str, after: int, seconds: float, kind: str) -> Message:
        """Return the answer to the message with that `id`; raises Violation when it came without `re`, else Broken."""
        answer = await self.message(
            lambda message: message.get("re") == identifier or self._answers_namelessly(message, kind),
            expected,
            after,
            seconds,
            (*ANSWERS.get(kind, ()), "MSG-30", "MSG-28"),
        )
        if kind == "start":
            self._expect_capacity(answer)
        if answer.get("re") != identifier:
            raise Violation(
                "MSG-28", f"the {answer.type} that answers a {kind} with id {identifier!r} has no re"
            )
        return answer

    def _answers_namelessly(self, message: Message, kind: str) -> bool:
        """Whether a message without `re` can only be the answer to one that has an `id`, as all have here."""
        if "re" in message or "seq" in message:
            return False
        if message.type == "error":
            asked = list(self.trace.messages("client"))
            named = all("id" in one or one.type == "heartbeat" for one in asked)
            return named and "run_id" not in message and message.get("code") in REFUSALS
        return message.type == {"start": "started", "resume": "resumed"}.get(kind)

    async def ask_text(self, text: str, seconds: float = ANSWER_S) -> Message:
        """Send a text and return the next message that can be its answer."""
        after = len(self.messages) - 1
        await self.send_text(text)
        return await self.message(
            lambda answer: not answer.is_aside and not answer.is_event, "an answer", after, seconds
        )

    async def start(self, prompt: str, **members: Any) -> Run:
        """Start a run and return it when it is `started`; raises Broken when it is refused."""
        if "RUN-3" in self.broken:
            raise Blocked("RUN-3")
        after = len(self.messages) - 1
        identifier = f"s{secrets.token_hex(4)}"
        begun = now()
        message = {"type": "start", "id": identifier, "prompt": self.own(prompt), **members}
        expect_to_fit(message, self.limits)
        await self.send(message)
        answer = await self.message(
            lambda message: (
                (message.type == "started" and message.get("re", identifier) == identifier)
                or (message.type == "error" and "seq" not in message and message.get("re") == identifier)
                or (message.type == "error" and self._answers_namelessly(message, "start"))
            ),
            "started",
            after,
            owners=("RUN-3", "RUN-1"),
        )
        if answer.type != "started":
            self._expect_capacity(answer)
            raise self._refused(answer)
        run = Run(self, answer.get("run_id"), after, answer)
        run.started_at = begun
        return run

    def _refused(self, answer: Message) -> Exception:
        """Return what a refused `start` says of the server: one that keeps to its schema has to be accepted."""
        if "re" not in answer:
            return Violation("MSG-28", "a start with an id was refused by an error without re")
        if answer.get("code") == "rate_limited":
            return NotJudged("the server throttles the judge (rate_limited), which is its own choice")
        owners = REFUSED_BY.get(str(answer.get("code")), ("RUN-3",))
        return Broken(f"expected started; got a refusal: {json.dumps(answer)[:300]}", owners)

    def _expect_capacity(self, answer: Message) -> None:
        """Raise Blocked when a start is `busy` on a connection without a run: the judge keeps below what is
        advertised.
        """
        if answer.get("code") == "busy" and not self.expects_busy and not self._has_unfinished():
            why = f"a start was refused with busy, with no run on its connection; {self.limits.remedy(*RUNS)}"
            raise Blocked("LIMIT-4", f"blocked by LIMIT-4: {why}")

    def _missed(self, problem: Broken) -> Broken:
        for message in self.messages:
            if message.type == "error" and "seq" not in message:
                self._expect_capacity(message)
        return problem

    def _has_unfinished(self) -> bool:
        """Whether the connection shows a run that has not ended."""
        followed = {
            m.string("run_id") for m in self.messages if m.is_event or m.type in {"started", "resumed"}
        }
        return bool(followed - {m.string("run_id") for m in self.messages if m.is_terminal})

    async def started(self) -> Message:
        """Return the first `started` of the connection; raises Broken ([RUN-3])."""
        return await self.message(
            lambda message: message.type == "started", "started", owners=("RUN-3",), certain=True
        )

    async def resume(self, run_id: str, after: int = 0, **members: Any) -> Run:
        """Resume a run and return it when it is `resumed`; raises Broken when it is refused ([RESUME-27])."""
        place = len(self.messages) - 1
        answer = await self.ask({"type": "resume", "run_id": run_id, "after": after, **members})
        if answer.get("code") == "busy" and any(
            message.is_terminal and message.get("run_id") == run_id for message in self.messages
        ):
            problem = Violation("RESUME-27", "a resume of a finished run was refused with busy")
            problem.compared = True
            raise problem
        if answer.type != "resumed":
            raise Broken(f"expected resumed; got {json.dumps(answer)[:300]}", ("RESUME-9", "RUN-33"))
        return Run(self, run_id, max(place, answer.index), answer)

    async def cancel(self, run: Run | None = None) -> float:
        """Send a cancel, of `run` or of all, and return when it was handed to the transport.

        Raises Blocked when the server was seen not to heed any: whatever hangs on it would only fail for that.
        """
        if "CANCEL-2" in self.broken:
            raise Blocked("CANCEL-2")
        message = {"type": "cancel"} if run is None else {"type": "cancel", "run_id": run.id}
        handed = now()
        await self.send(message)
        return handed

    async def barrier(self) -> list[Message]:
        """Return what came until the answer to a heartbeat: what the server sent before, stands before it."""
        if "BEAT-5" in self.broken:
            raise Blocked("BEAT-5")
        before = len(self.messages)
        answer = await self.ask({"type": "heartbeat"})
        return self.messages[before : answer.index]

    async def answered(self, names: Iterable[str], owners: Owners = ()) -> None:
        """Wait until the messages with these `id`s are answered, in whichever order; raises Broken."""
        unanswered = set(names)
        before = 0

        def all_came() -> bool:
            nonlocal before
            messages = self.messages
            unanswered.difference_update(message.string("re") for message in messages[before:])
            before = len(messages)
            return not unanswered

        await self.wait_until(all_came, ANSWER_S, "an answer to each message", owners)

    async def send_heartbeat(self) -> None:
        """Send a heartbeat and wait for any message; raises Blocked when none comes, as [BEAT-5] is then broken."""
        before = len(self.messages)
        await self.send({"type": "heartbeat"})
        try:
            await self.wait_until(lambda: len(self.messages) > before, ANSWER_S, "an answer", ("BEAT-5",))
        except NoServerFault:
            raise
        except Broken:
            raise Blocked("BEAT-5") from None

    async def quiet(self, run: Run) -> list[Message]:
        """Return the run's events once nothing more can follow: terminal, barrier, and a further barrier."""
        await run.terminal()
        await self.barrier()
        await self.barrier()
        return run.events
