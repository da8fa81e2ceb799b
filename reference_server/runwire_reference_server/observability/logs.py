"""Structured logs: JSON lines or text, without any content from callers ([OBS-9], [AUTH-8])."""

import logging
import sys
from typing import Any

import structlog

#: What may stand in a line beside its message; anything else is left out.
MEMBERS = (
    "trace_id", "connection_id", "transport", "address", "status", "reason", "code", "duration_s",
    "url", "version", "runs", "connections",
)  # fmt: skip

#: The logger of what an operator wants to see at any level but `error`: the start, and each step of a drain.
LIFE = "runwire_reference_server.life"

#: Loggers that write what callers sent, or whom a server talks to, when they may.
TALKATIVE = ("openai", "httpx2", "httpcore2")


def set_up(level: str, *, json: bool) -> None:
    """Let all loggers of the process write to standard error, as JSON lines if `json`."""
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=MEMBERS),
        _readable,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_content,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger(LIFE).setLevel(logging.ERROR if level == "error" else logging.INFO)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _readable(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave out members without a value, and write an address as text."""
    told = {name: value for name, value in line.items() if value is not None}
    return told | {"address": str(told["address"])} if "address" in told else told


def _without_content(
    _logger: Any, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Name an exception by its type alone: its text may quote what a caller sent."""
    record: logging.LogRecord = line["_record"]
    if record.exc_info and record.exc_info[0] is not None:
        line["exception_type"] = record.exc_info[0].__name__
        record.exc_info = record.exc_text = None
    line.pop("exc_info", None)
    return line
