"""The log: JSON lines, or text for a person, that never hold what callers sent ([OBS-9], [AUTH-8])."""

import logging
import sys
from typing import Any

import structlog

#: What may stand in a line beside its message; anything else is left out.
MEMBERS = ("trace_id", "connection_id", "status", "reason", "code")

#: Loggers that write what callers sent, or whom a server talks to, when they may.
TALKATIVE = ("openai", "httpx2", "httpcore2")


def set_up(level: str, *, json: bool) -> None:
    """Let all loggers of the process write to standard error, as JSON lines if `json`."""
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=MEMBERS),
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
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


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
