"""Logs as lines of JSON on standard error: one object an event, whatever a client put into its request.

What is never logged: tokens and other headers, query strings (a code says what somebody looks for), uploads.
"""

import asyncio
import io
import json
import logging
import sys
import traceback
import warnings
from datetime import UTC, datetime
from typing import Any, TextIO

LOGGER = logging.getLogger("bitseek.server")

_LOGGERS = ("bitseek", "uvicorn.error")


class JsonLines(logging.Formatter):
    """A record as one line: time, level, event, and the fields given by `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=True, default=str)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Write one event."""
    LOGGER.log(level, event, extra={"fields": fields}, exc_info=error)


def _was_not_cut_off(record: logging.LogRecord) -> bool:
    """Whether this is no request that the end of the service has cut off, which is nobody's mistake."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def start_logging(stream: TextIO | io.TextIOBase | None = None) -> None:
    """Send the events of the service, of bitseek and of uvicorn as JSON lines to a stream."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_was_not_cut_off)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged images, which a client may send without end
    logging.getLogger("uvicorn.access").handlers.clear()
    logging.getLogger("uvicorn.access").propagate = False
