"""Structured logs: JSON in production, readable in a terminal. Events are keys, values are fields, no secret ever."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import Processor


def configure(form: str = "", *, level: int = logging.INFO, **context: Any) -> None:
    """Set up logging for the process. `form` is json or console; left out, a terminal decides. `context` is in every
    line."""
    console = form == "console" or (not form and sys.stderr.isatty())
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _always(context),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _always(context: dict[str, Any]) -> Processor:
    def add(_logger: Any, _method: str, event: Any) -> Any:
        return {**context, **event}

    return add
