"""Flawed clients that were thought of before their scenarios: from the kinds of faults that pages show."""

from __future__ import annotations

from tests.proof.clients.careful import Again, Client, Message, Stop
from tests.proof.clients.flaws.entering import breaks


@breaks("MSG-25")
class TripsOverUnknownMembersOfAnswers(Client):
    KNOWN = frozenset(
        ["type", "run_id", "epoch", "session_id", "trace_id", "status", "re", "next_seq", "last_seq"]
    )

    async def take(self, message: Message) -> None:
        if message["type"] in {"started", "resumed"} and message.keys() - self.KNOWN:
            self.stopped("an answer that I do not know")
        await super().take(message)


@breaks("CANCEL-15")
class LeavesInPlaceOfCancelling(Client):
    async def user_acts(self) -> None:
        if self.told["act"] == "cancel":
            self.report(ended="cancelled")
            raise Stop


@breaks("RESUME-20")
class AppliesAReplacementAgain(Client):
    def place(self, event: Message) -> str:
        return "take" if event["type"] == "replace" and event["seq"] <= self.cursor else super().place(event)

    def count(self, event: Message) -> None:
        self.cursor = max(self.cursor, event["seq"])


@breaks("RESUME-20", "RESUME-19")
class DoublesWhatItPolls(Client):
    polling = False

    def poll_from(self) -> int:
        self.polling = True
        return 0

    def place(self, event: Message) -> str:
        return "take" if self.polling else super().place(event)


@breaks("RESUME-22")
class ForgetsTheEpochThatItIsGiven(Client):
    def take_up(self, run_id: str, epoch: str, seq: str) -> None:
        super().take_up(run_id, epoch, seq)
        self.epoch = None

    def resume(self) -> Message:
        return {name: value for name, value in super().resume().items() if value is not None}


@breaks("BEAT-11")
class TimesSilenceFromTheFirstEventOn(Client):
    def silence_s(self) -> float:
        return super().silence_s() if self.cursor else 3600.0


@breaks("HTTP-22")
class GivesUpAtAPageInPlaceOfDiscovery(Client):
    def no_discovery(self) -> None:
        self.stopped("this is no server of agent runs")


@breaks("SSE-27", "SSE-23")
class NeedsASpaceBehindTheColon(Client):
    def text_of(self, lines: list[bytes]) -> str | None:
        return super().text_of([line for line in lines if line.startswith(b"data: ")])


@breaks("FALL-3")
class PollsOnce(Client):
    polls = 0

    def polls_on(self) -> bool:
        self.polls += 1
        return self.polls == 1


@breaks("ERR-6", "ERR-7")
class GivesUpByTheCode(Client):
    def may_try_again(self, message: Message) -> bool:
        return message["code"] not in {"bad_request", "forbidden"} and super().may_try_again(message)


@breaks("CLOSE-5")
class KnowsOneCodeOf41(Client):
    async def after_close(self, code: int) -> Again:
        return Again() if 4102 <= code <= 4199 else await super().after_close(code)
