"""Flaws of what servers did in more than one way before the text said which."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from tests.proof.flaws.flaw import asks, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Later, Message, Rewrite, is_event, is_terminal

from .clauses import TEXTS
from .connection import problem
from .http import body_of, is_events, is_run_start
from .runs import is_start
from .script_agent import PlaysOtherwise, Steps
from .script_mistakes import steps_of
from .sse import CURSOR, cursor_of

#: The end of a text of a script that is half a character.
HALF = '\\ud83d"'
WEIGHTLESS = re.compile(r"text/event-stream;\s*q=0(\.0*)?(?=,|$)")


def hands_over_halves(link: Link, message: Message) -> bool:
    """Tell whether a message is of a run whose script has halves of characters."""
    return HALF in link.proxy.book.prompt(str(message.get("run_id")))


@flaw("EVENT-31", clause="every other event passes")
class HalvesOfTheAnswerLostBehindAThought(Rewrite):
    """A thought between two halves of a character of the answer costs that character."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[tuple[Link, str], str] = {}

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if not is_event(message):
            yield message
            return
        before = self.last.get((link, message["run_id"]))
        self.last[link, message["run_id"]] = message["type"]
        text = str(message.get("data"))
        if message["type"] == "token" and before == "thinking" and text > "\U00010000":
            yield {**message, "data": "\ufffd" + text[1:]} if hands_over_halves(link, message) else message
        else:
            yield message


@says("EVENT-31", clause="the next text that goes on from its own")
def halves_of_sub_agents_mixed(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Halves of characters of two sub-agents that speak in turns are lost."""
    text = str(message.get("content"))
    mixed = message.get("agent") and message["type"] == "thinking" and "🚀" in text
    lost = mixed and hands_over_halves(link, message)
    yield {**message, "content": text.replace("🚀", "\ufffd")} if lost else message


@says("EVENT-31", clause="the first half alone")
def replaces_wait_for_their_first_character(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A replace of half a character comes behind the thought that follows it."""
    if link.is_stream or not hands_over_halves(link, message) or not is_event(message):
        yield message
    elif message["type"] == "replace" and message["data"] == "":
        link.notes["held"] = message
    elif held := link.notes.pop("held", None):
        yield {**message, "seq": held["seq"]}
        yield {**held, "seq": message["seq"]}
    else:
        yield message


@says("EVENT-31", clause="a `parent_call_id` makes nothing due")
def halves_end_with_the_call_of_their_parent(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Half a character of a sub-agent is lost when the call that it works for has its result."""
    text = str(message.get("content"))
    lost = message.get("parent_call_id") and "🚀" in text and hands_over_halves(link, message)
    yield {**message, "content": text.replace("🚀", "\ufffd\ufffd")} if lost else message


def _lost_half(name: str, clause: str, kind: str, description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        member = TEXTS[kind]
        text = message.get(member) if message.get("type") == kind else None
        if (
            text == "\ufffd"
            and hands_over_halves(link, message)
            and "search" in link.proxy.book.prompt(str(message["run_id"]))
        ):
            yield {**message, member: "?"}
        else:
            yield message

    server_message.__name__, server_message.__doc__ = name, description
    says("EVENT-32", clause=clause)(server_message)


_lost_half(
    "halves_of_previews_left_out",
    "before the `tool_call`",
    "tool_delta",
    "Half a character at the end of a preview becomes a question mark.",
)
_lost_half(
    "halves_of_results_left_out",
    "before the final `observation`",
    "observation",
    "Half a character at the end of a partial result becomes a question mark.",
)
_lost_half(
    "halves_of_answers_left_out",
    "before a `replace`",
    "token",
    "Half a character at the end of an answer becomes a question mark.",
)


@flaw("RUN-38")
class NextRunWaitsForTheBlockedTool(Rewrite):
    """The next run of a session begins when the tool of the one that was stopped is through."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[str, int] = {}

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        steps = steps_of(message.get("prompt")) if is_start(message) else []
        session = str(message.get("session_id"))
        blocks = [step["block_ms"] for step in steps if isinstance(step, dict) and "block_ms" in step]
        if session in self.blocks:
            waiting = [{"wait_ms": self.blocks[session]}, *steps]
            yield {**message, "prompt": json.dumps({"runwire_script": waiting})}
            return
        if blocks and "session_id" in message:
            self.blocks[session] = blocks[0]
        yield message


@flaw("CANCEL-7", clause="without an answer")
class SecondCancelFindsNothing(Rewrite):
    """A repeated cancel is told that there is nothing to cancel while the first is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled: set[str] = set()

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if message.get("type") != "cancel" or not isinstance(run_id, str) or run_id in self.finished(link):
            yield message
        elif run_id in self.cancelled:
            notice = {"type": "notice", "code": "not_active", "data": "no unfinished run"}
            yield Answer(notice if "id" not in message else {**notice, "re": message["id"]})
        else:
            self.cancelled.add(run_id)
            yield Later(0.4 * self.seconds("cancel_deadline_ms"), message)

    def finished(self, link: Link) -> set[str]:
        """Return the runs that have ended."""
        return link.proxy.book.finished


@says("SCRIPT-3", clause="`retryable`")
def vendors_failures_are_retryable(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A script that fails with a vendor's code and does not say whether to try again can be tried again."""
    said = "retryable" in link.proxy.book.prompt(str(message.get("run_id"))) or "seq" not in message
    vendors = message.get("type") == "error" and ":" in str(message.get("code"))
    yield {**message, "retryable": True} if vendors and not said else message


@says("SCRIPT-3", clause="`retryable`")
def overridden_failures_keep_the_default(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """What a script says of whether to try again is not looked at."""
    told = {"agent_error": False, "upstream_error": True}.get(str(message.get("code")))
    played = is_terminal(message) and "fail" in link.proxy.book.prompt(str(message["run_id"]))
    yield {**message, "retryable": told} if played and told is not None else message


@flaw("SCRIPT-4", clause="a call made twice")
class CallsMadeTwiceAreMadeOnce(PlaysOtherwise):
    """A script that makes a call twice makes it once and goes on."""

    def played(self, steps: Steps) -> Steps:
        made: set[object] = set()
        kept = []
        for step in steps:
            call = step["tool_call"].get("call_id") if isinstance(step.get("tool_call"), dict) else None
            if call is None or call not in made:
                kept.append(step)
            made.add(call)
        return kept


@flaw("SCRIPT-4", clause="an observation of a call that is not open")
class ObservationsOfNothingAreSkipped(PlaysOtherwise):
    """A script that observes what it did not call, or again, goes on without that."""

    def played(self, steps: Steps) -> Steps:
        open_calls: set[object] = set()
        kept = []
        for step in steps:
            value = next((step[name] for name in ("tool_call", "observation") if name in step), None)
            call = value.get("call_id") if isinstance(value, dict) else None
            if "observation" not in step or call in open_calls:
                kept.append(step)
            if "tool_call" in step:
                open_calls.add(call)
            elif "observation" in step and isinstance(value, dict) and not value.get("partial"):
                open_calls.discard(call)
        return kept


@flaw("SCRIPT-4", clause="a time or a number out of range")
class NegativeTimesAreNone(PlaysOtherwise):
    """A script that waits for less than nothing does not wait."""

    def played(self, steps: Steps) -> Steps:
        def mended(step: Message) -> Message:
            name = next((name for name in ("wait_ms", "block_ms") if name in step), "")
            early = name and isinstance(step[name], int | float) and step[name] < 0
            return {name: 0} if early else step

        return [mended(step) for step in steps]


@flaw("SCRIPT-1", clause="however written")
class FractionsRepeatNothing(PlaysOtherwise):
    """A number of repetitions that is written with a fraction is malformed."""

    def played(self, steps: Steps) -> Steps:
        return [{"dance": 1} if isinstance(step.get("repeat"), float) else step for step in steps]


@flaw("SCRIPT-13", clause="`queued`")
class ReportsWaitForTheQueue(Rewrite):
    """A report of a run that is queued waits."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: set[str] = set()

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        if message.get("type") == "started" and message.get("status") == "queued":
            self.queued.add(message["run_id"])
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        steps = steps_of(message.get("prompt")) if is_start(message) else []
        if any(isinstance(step, dict) and step.get("report") in self.queued for step in steps):
            yield {**message, "prompt": json.dumps({"runwire_script": [{"wait_ms": 30_000}]})}
        else:
            yield message


def _unreported(name: str, clause: str, ended: Callable[[Message], bool], description: str) -> None:
    def server_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        book = link.proxy.book
        steps = steps_of(book.prompt(str(message.get("run_id")))) if message.get("type") == "token" else []
        named = [str(step["report"]) for step in steps if isinstance(step, dict) and "report" in step]
        ends = [event for run_id in named for event in book.logs[run_id].values() if is_terminal(event)]
        if "stopped_after_ms" in str(message.get("data")) and any(ended(event) for event in ends):
            yield {**message, "data": json.dumps({"stopped_after_ms": None, "steps_after_cancel": 0})}
        else:
            yield message

    server_message.__name__, server_message.__doc__ = name, description
    says("SCRIPT-9", clause=clause)(server_message)


_unreported(
    "timeouts_are_no_cancellations",
    "`run_s`",
    lambda end: end.get("code") == "timeout",
    "A report of a run that took too long says that nothing stopped it.",
)


@flaw("SCRIPT-9", clause="its policy")
class LeftRunsAreNoCancellations(Rewrite):
    """A report of a run that nobody reads says that nothing stopped it."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        book = link.proxy.book
        steps = steps_of(book.prompt(str(message.get("run_id")))) if message.get("type") == "token" else []
        named = [str(step["report"]) for step in steps if isinstance(step, dict) and "report" in step]
        left = any(book.policy(run_id) == "cancel" and run_id not in book.finished for run_id in named)
        if left and "stopped_after_ms" in str(message.get("data")):
            yield {**message, "data": json.dumps({"stopped_after_ms": None, "steps_after_cancel": 0})}
        else:
            yield message


@flaw("HTTP-26")
class IdsRepeatedInStreams(Rewrite):
    """The stream of a POST repeats the id of its body."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def request(self, request: Request) -> Request | Response:
        body = body_of(request) if is_run_start(request) else None
        if body and isinstance(body.get("id"), str):
            self.ids.append(body["id"])
        return request

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        begins = link.is_stream and message.get("type") == "started" and self.ids
        yield {**message, "re": self.ids.pop()} if begins else message


@asks("HTTP-3", clause="a weight of 0")
def weights_of_posts_ignored(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST that gives the stream no weight gets one."""
    accept = request.headers.get("accept") or ""
    named = is_run_start(request) and WEIGHTLESS.search(accept)
    return request.with_header("accept", "text/event-stream") if named else request


@asks("HTTP-3", clause="a range")
def ranges_name_the_stream(flaw: Rewrite, request: Request) -> Request | Response:
    """A POST that accepts anything gets a stream."""
    anything = is_run_start(request) and request.headers.get("accept") in {"*/*", "text/*"}
    return request.with_header("accept", "text/event-stream") if anything else request


@asks("SSE-19", clause="the most specific range")
def any_range_admits_the_stream(flaw: Rewrite, request: Request) -> Request | Response:
    """A stream that is excluded by name comes all the same where a range admits everything."""
    accept = request.headers.get("accept") or ""
    admitted = is_events(request) and "*/*" in accept and "*/*;q=0," not in accept + ","
    return request.with_header("accept", "*/*") if admitted else request


@asks("SSE-15", clause="without a look at `after`")
def bad_queries_refused_beside_a_header(flaw: Rewrite, request: Request) -> Request | Response:
    """A malformed `after` is refused although there is a Last-Event-ID."""
    bare = request.without_header("last-event-id")
    both = is_events(request) and request.headers.get("last-event-id")
    return problem(400, "bad_request") if both and not CURSOR.match(cursor_of(bare) or "0") else request


@asks("SSE-16", clause="a leading zero")
def leading_zeros_dropped(flaw: Rewrite, request: Request) -> Request | Response:
    """A cursor whose number has a leading zero is taken for that without."""
    return (
        replace(request, target=re.sub(r"(after=(?:[\w-]+\.)?)0+(?=\d)", r"\1", request.target))
        if is_events(request)
        else request
    )


@asks("ORIGIN-8")
def nameless_requests_admitted(flaw: Rewrite, request: Request) -> Request | Response:
    """A request that does not say whom it asks is answered."""
    return request if request.headers.get("host") else request.with_header("Host", "localhost:80")


@hears("SCRIPT-13", clause="`queued` or ended as such")
def reports_of_queued_runs_say_null(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A report of a run that ended as queued says that nothing stopped it."""
    steps = steps_of(message.get("prompt")) if is_start(message) else []
    named = [str(step["report"]) for step in steps if isinstance(step, dict) and "report" in step]
    logs = link.proxy.book.logs
    if any(len(logs[run_id]) == 1 and run_id in link.proxy.book.finished for run_id in named):
        told = json.dumps({"stopped_after_ms": None, "steps_after_cancel": 0})
        yield {**message, "prompt": json.dumps({"runwire_script": [{"token": told}]})}
    else:
        yield message
