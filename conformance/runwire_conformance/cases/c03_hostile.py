"""Chapter 3: hostile messages, which the server has to refuse while it continues to serve others."""

import json

from websockets.frames import Opcode

from runwire_conformance.case import Blocked, accuses, proves
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S
from runwire_conformance.client.target import Target
from runwire_conformance.fuzz.malformed_messages import (
    NO_UTF8,
    MalformedMessage,
    broken_frames,
    malformed_messages,
)
from runwire_conformance.trace.limits import Limits, default_limits
from runwire_schemas import raw_texts

#: Sentences by which a text is refused, by the first word of its vector's name; the last one is a SHOULD.
REFUSED = {
    "depth": "MSG-15",
    "integer": "MSG-17",
    "surrogate": "MSG-16",
    "unnamed": "MSG-19",
    "repeated": "MSG-18",
}


#: How many messages are sent before their answers are waited for.
MOST_UNANSWERED = 40


async def still_serves(target: Target) -> None:
    """Expect that a run on a new connection ends as it should."""
    client = await target.connect()
    run = await client.start(target.brief)
    await run.terminal()
    await client.leave()


def fits(reason: str, limits: Limits) -> bool:
    """Whether a text is what its vector says under the advertised `json_depth`; those vectors are for the default."""
    how, _, rest = reason.partition("-")
    if how != "depth":
        return True
    depth = int(rest.partition("-")[0])
    default = int(default_limits()["json_depth"])
    return depth <= limits["json_depth"] if depth <= default else depth > limits["json_depth"]


def refusals(target: Target, wrong: MalformedMessage) -> set[str]:
    """Return how a wrong message may be refused: where its feature is off, for that reason too."""
    kind = wrong.message["type"]
    off = kind in {"resume", "input"} and kind not in target.features
    return {"bad_request", "unsupported"} if off else {"bad_request"}


@proves("MSG-14", connections=2, timing=True)
async def every_member_of_every_message_is_checked(client: Client, target: Target) -> None:
    wrongs = list(malformed_messages())
    for number, wrong in enumerate(wrongs):
        await client.send({**wrong.message, "id": f"h{number}"})
        if number % MOST_UNANSWERED == 0:
            await client.barrier()

    for number, wrong in enumerate(wrongs):
        with accuses(wrong.requirement):
            answer = await client.message(
                lambda message, name=f"h{number}": message.get("re") == name,  # type: ignore[misc]
                f"bad_request for {wrong.reason}",
            )
            refused = answer.get("type") == "error" and answer.get("code") in refusals(target, wrong)
            assert refused, f"{wrong.reason}: expected bad_request; got {dict(answer)}"
    await still_serves(target)


@proves("MSG-16", "MSG-19", connections=2, timing=True, watches=("MSG-15", "MSG-17", "MSG-18"))
async def texts_that_must_be_refused_are(client: Client, target: Target, limits: Limits) -> None:
    off = {"bad_request", *(() if "resume" in target.features else ("unsupported",))}
    texts = sorted(raw_texts("refused"), key=lambda text: list(REFUSED).index(text[0].partition("-")[0]))
    for reason, data in texts:
        if not fits(reason, limits):
            continue
        with accuses(REFUSED[reason.partition("-")[0]]):
            answer = await client.ask_text(data.decode())
            refused = answer.type == "error" and answer.get("code") in off
            assert refused, f"{reason}: expected bad_request; got {dict(answer)}"
    await client.barrier()

    await still_serves(target)


@proves("MSG-7", "MSG-8", connections=2, timing=True)
async def texts_that_are_no_object_close_with_4400(target: Target) -> None:
    for reason, data in raw_texts("closes-4400"):
        client = await target.connect()
        await client.send_data(Opcode.TEXT, data)
        with accuses("MSG-8" if reason.startswith("kind") else "MSG-7"):
            code = await client.closed()
            assert code == 4400, f"{reason}: expected the code 4400; got {code}"

    await still_serves(target)


@proves("MSG-20", script=True, connections=2, timing=True)
async def texts_at_the_edges_of_json_are_accepted(client: Client, target: Target, limits: Limits) -> None:
    for reason, data in raw_texts("accepted"):
        if not fits(reason, limits):
            continue
        before = len(client.messages)
        answer = await client.ask_text(data.decode())
        assert answer.type != "error", f"{reason}: expected it to be accepted; got {dict(answer)}"
        if answer.type == "started":
            await client.cancel()
            await client.message(
                lambda message: message.is_terminal, "the terminal", before, EVENT_S, ("CANCEL-2", *END)
            )
            await client.barrier()

    await still_serves(target)


@proves("MSG-4", connections=2, timing=True)
async def a_message_may_be_divided_at_every_byte(client: Client, target: Target) -> None:
    if "BEAT-5" in client.broken:
        raise Blocked("BEAT-5")
    beat = {"type": "heartbeat", "id": "é🚀00"}
    whole = len(json.dumps(beat, ensure_ascii=False).encode())
    for place in range(whole + 1):
        await client.send_divided({**beat, "id": f"é🚀{place:02d}"}, place)
    sent = [f"é🚀{place:02d}" for place in range(whole + 1)]
    await client.answered(sent)
    await client.barrier()

    answered = [message["re"] for message in client.messages if str(message.get("re", "")).startswith("é")]
    assert sorted(answered) == sent
    await still_serves(target)


@proves("MSG-10", connections=2, timing=True)
async def bytes_that_are_no_utf8_close_with_1007(target: Target) -> None:
    for reason, data in NO_UTF8.items():
        for pieces in ([b'{"prompt":"' + data + b'"}'], [b'{"prompt":"' + data[:1], data[1:] + b'"}']):
            client = await target.connect()
            for number, piece in enumerate(pieces):
                kind = Opcode.TEXT if number == 0 else Opcode.CONT
                await client.send_data(kind, piece, fin=number == len(pieces) - 1)
            code = await client.closed()
            assert code == 1007, f"{reason} in {len(pieces)} frames: expected the code 1007; got {code}"

    await still_serves(target)


@proves("MSG-13", connections=2, timing=True)
async def frames_that_break_rfc_6455_close_with_1002(target: Target) -> None:
    for reason, data in broken_frames().items():
        client = await target.connect()
        await client.send_bytes(data)
        code = await client.closed()
        assert code == 1002, f"{reason}: expected the code 1002; got {code}"

    await still_serves(target)


@proves("MSG-11", connections=2, timing=True)
async def a_message_of_many_small_frames_is_counted_whole(
    client: Client, target: Target, limits: Limits
) -> None:
    piece = b"x" * (limits.whole("max_message_bytes") // 16 + 1)
    await client.send_data(Opcode.TEXT, b'{"prompt":"', fin=False)
    for _ in range(16):
        await client.send_data(Opcode.CONT, piece, fin=False)

    await client.closed_with(1009)
    await still_serves(target)
