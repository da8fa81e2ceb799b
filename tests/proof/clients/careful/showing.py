"""What the careful client shows of the events of its run."""

from __future__ import annotations

from tests.proof.clients.careful.state import Hole, Message, State, Stop


class Showing(State):
    """Takes the events of a run and shows them."""

    def place(self, event: Message) -> str:
        """[RESUME-19] to [RESUME-21]: `take`, `drop` or `hole`."""
        if event["seq"] <= self.cursor:
            return "drop"
        return "take" if event.get("first_seq", event["seq"]) == self.cursor + 1 else "hole"

    async def event(self, event: Message) -> None:
        """Take an event of the run."""
        if not self.basic:
            where = self.place(event)
            if where == "drop":
                return
            if where == "hole":
                raise Hole
            self.count(event)
        await self.show(event)

    def count(self, event: Message) -> None:
        """[MSG-26]: what has a seq counts, whatever its type."""
        self.cursor = event["seq"]

    async def show(self, event: Message) -> None:
        """Show an event."""
        kind = event["type"]
        if kind == "token":
            self.text += event["data"]
            await self.user_acts()
        elif kind == "replace":
            self.replaced(event)
        elif kind == "tool_delta":
            self.previewed(event)
        elif kind == "tool_call":
            self.called(event)
        elif kind == "observation":
            self.observed(event)
        elif kind in {"done", "error"}:
            self.over(event)
        else:
            self.unknown(event)
            return
        self.report(text=self.text, calls={**self.calls})

    def unknown(self, event: Message) -> None:
        """[MSG-26]"""

    def replaced(self, event: Message) -> None:
        """[EVENT-6]"""
        self.text = event["data"]

    def previewed(self, event: Message) -> None:
        """[EVENT-17]"""
        self.calls[event["call_id"]] = (self.calls.get(event["call_id"]) or "") + event["data"]
        self.partial.add(event["call_id"])

    def called(self, event: Message) -> None:
        """[EVENT-17]: a call that comes is a preview no more."""
        self.calls[event["call_id"]] = ""
        self.partial.discard(event["call_id"])

    def observed(self, event: Message) -> None:
        """[EVENT-16]"""
        before = self.calls.get(event["call_id"]) or ""
        self.calls[event["call_id"]] = before + event["content"] if event.get("partial") else event["content"]

    def drop_previews(self) -> None:
        """[EVENT-17]"""
        for call_id in self.partial:
            self.calls[call_id] = None

    def over(self, event: Message) -> None:
        """The run has ended."""
        self.drop_previews()
        how = "failed" if event["type"] == "error" else event.get("status", "completed")
        self.report(text=self.text, calls={**self.calls}, ended=how)
        self.after_end(event)
        raise Stop

    def after_end(self, event: Message) -> None:
        """[ERR-8]: whoever tries a failed run again takes a new run_id."""

    async def user_acts(self) -> None:
        """The user sees text."""
