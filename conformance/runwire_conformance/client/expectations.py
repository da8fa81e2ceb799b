"""Expectations of responses, in protocol terms; each raises Wrong with the message that arrived instead."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from runwire_conformance.case import TooSlow, Wrong
from runwire_conformance.client.conversations.conversation import Conversation, Owners
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.wire.http import Response
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import NEARLY
from runwire_schemas import violations

#: Characters that are shown of a message or a body.
MOST_SHOWN = 300

#: Names of members as they are told, in this order.
TOLD = ("type", "status", "reason", "code")

#: Characters that are shown of an answer text.
MOST_TEXT = 80

#: What orders that a log is whole, and the script's.
LOG: Owners = ("RUN-28", "SCRIPT-1")


def excerpt(message: Mapping[str, Any]) -> str:
    """Return a message as JSON, as much of it as a reader needs."""
    return json.dumps(message, ensure_ascii=False)[:MOST_SHOWN]


def expect_refused(message: Message, *codes: str, owners: Owners = ()) -> None:
    """Expect that a message refuses another with one of `codes`."""
    if message.type != "error" or "seq" in message or message.get("code") not in codes:
        wanted = " or ".join(f"`{code}`" for code in codes)
        raise Wrong(f"expected a refusal with {wanted}; got {excerpt(message)}", owners)


def expect_noticed(message: Message, code: str) -> None:
    """Expect that a message is a notice of this code."""
    if message.type != "notice" or message.get("code") != code:
        raise Wrong(f"expected a notice of `{code}`; got {excerpt(message)}")


def expect_ended(terminal: Message, owners: Owners = (), **members: Any) -> None:
    """Expect of a terminal that it has these members."""
    if any(terminal.get(name) != value for name, value in members.items()):
        wanted = ", ".join(f"{name} `{value}`" for name, value in members.items())
        raise Wrong(f"expected a terminal of {wanted}; got {_end_in_words(terminal)}", owners)


def _end_in_words(terminal: Message) -> str:
    told = ", ".join(f"{name} `{terminal[name]}`" for name in TOLD if name in terminal)
    return told or excerpt(terminal)


def expect_ended_by_user(terminal: Message, owners: Owners = ("CANCEL-1",)) -> None:
    """Expect of a terminal that it says that the user cancelled ([CANCEL-1])."""
    expect_ended(terminal, owners, type="done", status="cancelled", reason="user")


def expect_ended_without_reader(terminal: Message, owners: Owners = ()) -> None:
    """Expect of a terminal that it says that nobody read the run any more ([RESUME-2], [RESUME-3])."""
    expect_ended(terminal, owners, type="done", status="cancelled", reason="disconnected")


def expect_completed(terminal: Message, owners: Owners = ("SCRIPT-2",)) -> None:
    """Expect of a terminal that it says that the agent came to its own end."""
    expect_ended(terminal, owners, type="done", status="completed")


def expect_status(response: Response, *statuses: int, owners: Owners = ()) -> None:
    """Expect of a response that it has one of these statuses."""
    if response.status not in statuses:
        wanted = " or ".join(map(str, statuses))
        raise Wrong(
            f"expected the status {wanted}; got {_answer_in_words(response)}", owners, status=response.status
        )


def expect_problem(response: Response, status: int, code: str, owners: Owners = ()) -> None:
    """Expect that a response refuses with this status and code."""
    expect_status(response, status, owners=owners)
    if response.json().get("code") != code:
        raise Wrong(
            f"expected the code `{code}`; got {_answer_in_words(response)}", owners, status=response.status
        )


def expect_header(response: Response, name: str, value: str | None = None) -> str:
    """Return the value of a header that must be there, with this value if one is given."""
    said = response.header(name)
    if said is None:
        raise Wrong(
            f"expected a `{name}` header; got {response.status} with no `{name}` header",
            status=response.status,
        )
    if value is not None and said != value:
        raise Wrong(f"expected `{name}: {value}`; got `{name}: {said}`")
    return said


def expect_directives(response: Response, *names: str) -> None:
    """Expect directives of `Cache-Control`, which ignore case (RFC 9111, section 5.2)."""
    said = response.header("cache-control") or ""
    if not set(names) <= {part.strip().lower() for part in said.split(",")}:
        wanted = ", ".join(names)
        raise Wrong(f"expected `Cache-Control: {wanted}`; got {response.status} with `Cache-Control: {said}`")


def expect_no_header(response: Response, name: str) -> None:
    """Expect that a header is not there."""
    if (said := response.header(name)) is not None:
        raise Wrong(f"expected no `{name}` header; got `{name}: {said}`")


def _answer_in_words(response: Response) -> str:
    return f"{response.status} {response.body[:200].decode('utf-8', 'replace')}".strip()


def expect_member(message: Message, name: str, value: Any, owners: Owners = ()) -> None:
    """Expect that a message, or an object in a body, has a member with this value."""
    if name not in message:
        raise Wrong(f"expected {name} `{value}`; got no `{name}` in {excerpt(message)}", owners)
    if message[name] != value or isinstance(message[name], bool) is not isinstance(value, bool):
        raise Wrong(f"expected {name} `{value}`; got `{message[name]}` in {excerpt(message)}", owners)


def expect_text(run: Run, text: str, owners: Owners = LOG) -> None:
    """Expect that the answer text of a run so far is this."""
    came = run.text
    if came != text:
        pairs = enumerate(zip(came, text, strict=False))
        place = next((at for at, (one, other) in pairs if one != other), min(len(came), len(text)))
        raise Wrong(
            f"expected the answer text {_cut(text, place)}; got {_cut(came, place)}, "
            f"of {len(came)} characters instead of {len(text)}",
            owners,
        )


def _cut(text: str, place: int) -> str:
    """Return a text as JSON, of a long one the part around `place`."""
    if len(text) <= MOST_TEXT:
        return json.dumps(text, ensure_ascii=False)
    begin = max(0, place - MOST_TEXT // 2)
    return f"…{json.dumps(text[begin : begin + MOST_TEXT], ensure_ascii=False)}…"


def expect_count(run: Run, events: int) -> None:
    """Expect that the log of a run holds so many events so far, each of which a script has said ([SCRIPT-1])."""
    if run.last_seq != events:
        raise Wrong(f"expected the last seq {events}; got {run.last_seq}", ("SCRIPT-1",))


def expect_one_end(events: Sequence[Message], kind: str, owners: Owners = ("RUN-4",)) -> None:
    """Expect that of the events of a run one is a terminal, of this type."""
    came = [event.type for event in events if event.is_terminal]
    if came != [kind]:
        raise Wrong(f"expected one terminal, a {kind}; got {' and '.join(came) or 'none'}", owners)


def expect_same_log(
    came: Sequence[Mapping[str, Any]],
    wanted: Sequence[Mapping[str, Any]],
    owners: Owners = LOG,
    *,
    of: str = "the log",
) -> None:
    """Expect that two logs, in the form of `contents`, are equal; `of` is what the first was read by."""
    if list(came) == list(wanted):
        return
    pairs = list(zip_longest(came, wanted))
    place = next(number for number, (one, other) in enumerate(pairs) if one != other)
    one, other = ("nothing more" if event is None else excerpt(event) for event in pairs[place])
    raise Wrong(f"expected as event {place + 1} of {of} {other}; got {one}", owners)


def expect_valid(schema: str, body: Mapping[str, Any]) -> None:
    """Expect that a body is valid against a schema."""
    if found := [str(problem) for problem in violations(schema, body)]:
        raise Wrong(f"expected a body of the schema {schema}; {'; '.join(found[:3])}")


def expect_media_type(response: Response, media_type: str, owners: Owners = ()) -> None:
    """Expect that a response is of this media type."""
    if response.media_type != media_type:
        said = response.header("content-type")
        came = f"`Content-Type: {said}`" if said else "no `Content-Type` header"
        raise Wrong(f"expected `Content-Type: {media_type}`; got {came}", owners)


def expect_started(message: Message, owners: Owners = ()) -> None:
    """Expect that a message says that a run was accepted."""
    if message.type != "started":
        raise Wrong(f"expected started; got {excerpt(message)}", owners)


def expect_back_in_time(again: Run, left: Conversation, grace_s: float) -> None:
    """Raise TooSlow when the judge, having left a run alone, may have come back after its grace of `grace_s`.

    The server has to count from the end of the connection `left` ([RESUME-2]) to the `resume`, which arrived before it
    was answered.
    """
    assert again.opening is not None
    away = again.opening.at - left.trace.records[-1].at
    if away >= grace_s * NEARLY:
        raise TooSlow(
            f"the judge was back {away:.2f} s after it had left, and detach_grace_s (advertised {grace_s:.15g}) may "
            f"have been over; set it to {math.ceil(2 * away)} or more"
        )
