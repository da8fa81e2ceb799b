"""Upstream of an agent: its address, and the mapping of its failures to run errors."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from runwire_reference_server.agents import AgentError, Task

log = logging.getLogger(__name__)

#: Seconds to reach an upstream; how long it may then think is for the limit `run_s` to say.
CONNECT_S = 10.0

#: Bytes of one line of an upstream's stream; no event of a sane one comes near.
MAX_LINE_BYTES = 8 * 1024 * 1024

#: Answers after which trying again can help.
_PASSING = frozenset({408, 409, 425, 429})

#: Answers that mean that this server was set up wrongly, which is nothing its users can mend.
_MISUSED = {401: "refused the key", 403: "refused the key", 404: "does not know the model or the path"}

_FILTERED = ("content_filter", "content_policy")
_EXHAUSTED = ("insufficient_quota", "quota_exceeded")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A service that agents call. The key is kept out of everything that prints the object."""

    url: str | None = None
    model: str | None = None
    key: str | None = field(default=None, repr=False)


def refused(task: Task, status: int, code: str = "") -> AgentError:
    """Return what becomes of the run when the upstream answers with an HTTP `status` and a `code` of its own.

    Neither the text nor the log quotes the upstream: it may repeat the key or the prompt ([OBS-9]).
    """
    log.warning("an upstream answered %d", status, extra={"trace_id": task.trace_id})
    if any(word in code for word in _FILTERED):
        return AgentError("content_filtered", "the upstream's filter refused the prompt")
    if any(word in code for word in _EXHAUSTED):
        return AgentError("upstream_error", "the upstream's quota is used up", retryable=False)
    if status in _MISUSED:
        return AgentError("agent_error", f"the upstream {_MISUSED[status]} of this agent")
    if status in _PASSING or status >= 500:
        return AgentError("upstream_error", f"the upstream is busy or unavailable (status {status})")
    return AgentError("agent_error", f"the upstream refused the request (status {status})")


def unreachable(task: Task) -> AgentError:
    """Return what becomes of the run when the upstream cannot be reached, or its connection breaks."""
    log.warning("an upstream cannot be reached", extra={"trace_id": task.trace_id})
    return AgentError("upstream_error", "the connection to the upstream failed")


def ended_early(task: Task) -> AgentError:
    """Return what becomes of the run when the upstream's stream ends without saying how."""
    log.warning("an upstream's stream broke off", extra={"trace_id": task.trace_id})
    return AgentError("upstream_error", "the upstream's stream broke off")


@dataclass(frozen=True, slots=True)
class UpstreamBlock:
    """A block of an event stream that holds a JSON object; `id` is empty where it has none."""

    message: dict[str, Any]
    id: str = ""


async def blocks(chunks: AsyncIterator[bytes]) -> AsyncGenerator[UpstreamBlock]:
    """Yield the blocks of an event stream; one that holds no object, such as a ping, is passed over.

    Only CR and LF end a line: JSON text may hold every other separator of Unicode. Raises ValueError for data that is
    no JSON, which the last block is when the stream breaks off in it, and for a line or an event that is too long.
    """
    rest, data, identifier = b"", b"", ""
    async for chunk in _and_its_end(chunks):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                data += line[5:] + b"\n"
            elif line.startswith(b"id:"):
                identifier = line[3:].strip().decode(errors="replace")
            elif not line and data:
                value = json.loads(data)
                if isinstance(value, dict):
                    yield UpstreamBlock(value, identifier)
                data, identifier = b"", ""
        if len(rest) + len(data) > MAX_LINE_BYTES:
            raise ValueError("a line of the stream has no end")


async def _and_its_end(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks, and what ends the last block: many upstreams leave its blank line out."""
    async for chunk in chunks:
        yield chunk
    yield b"\n\n"
