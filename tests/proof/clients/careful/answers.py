"""How the careful client takes what a server sends: answers, refusals, events."""

from __future__ import annotations

from tests.proof.clients.careful.showing import Showing
from tests.proof.clients.careful.state import Message, Returning


class Answers(Showing):
    """Takes messages of either transport."""

    async def take(self, message: Message) -> None:
        """Take a message of either transport."""
        kind = message["type"]
        if kind == "heartbeat":
            await self.on_heartbeat()
        elif kind in {"started", "resumed"}:
            self.accepted = True
            self.epoch = message["epoch"]
        elif kind == "error" and self.refuses(message):
            await self.refused(message)
        elif "seq" in message or self.basic:
            await self.event(message)

    async def on_heartbeat(self) -> None:
        """[BEAT-10]"""

    def refuses(self, message: Message) -> bool:
        """[EVENT-25]: whether an `error` is a refusal, and ends no run."""
        return "seq" not in message and not self.basic

    async def refused(self, message: Message) -> None:
        """[ERR-6], [RESUME-22]"""
        if message.get("re") not in {None, self.asked}:
            return
        if message["code"] == "not_found" and self.accepted:
            self.begin_anew()
            raise Returning
        if not self.may_try_again(message):
            self.stopped(f"refused with {message['code']}")
        self.least_s = self.asked_to_wait_s(message)
        self.before_another_start()
        raise Returning

    def may_try_again(self, message: Message) -> bool:
        """[ERR-6], [ERR-7]"""
        return message.get("retryable") is True

    def asked_to_wait_s(self, message: Message) -> float:
        """Return the seconds that a refusal asks for."""
        return float(message.get("retry_after_ms", 0) / 1000)

    def before_another_start(self) -> None:
        """[ERR-8]: a refused start keeps its run_id."""

    def begin_anew(self) -> None:
        """[RESUME-22]"""
        self.accepted, self.epoch, self.cursor, self.furthest, self.text = False, None, 0, 0, ""
        self.calls, self.partial = {}, set()
