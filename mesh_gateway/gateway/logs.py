"""Structured logs: JSON lines, or coloured lines on a terminal; on standard error, so that data owns standard output."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

LONGEST_TEXT = 256
"""Characters of any logged value: a producer's attribute cannot flood the log."""

CLIENTS = ("aiokafka", "botocore", "urllib3")
"""Client libraries log an error for every try while a server is down; the transports say once what it means."""


def configure(level: str = "info", *, console: bool | None = None) -> None:
    """Route structlog, uvicorn and the client libraries through one set of processors."""
    pretty = sys.stderr.isatty() if console is None else console
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _shorten,
    ]
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=_draw)]
        if pretty
        else [_tell, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for noisy in ("asyncio", "uvicorn.error", "uvicorn.access", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for client in CLIENTS:
        logging.getLogger(client).setLevel(logging.CRITICAL if number > logging.DEBUG else logging.DEBUG)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _draw(file: TextIO, error: Any) -> None:
    """As structlog draws a traceback where it finds rich, which is imported only now (`cli.serving.importing`)."""
    import rich.console
    import rich.traceback

    module: Any = structlog.dev
    module.Console, module.Traceback = rich.console.Console, rich.traceback.Traceback
    module.RichTracebackFormatter()(file, error)


def _tell(logger: Any, method: str, event: Any) -> Any:
    """As structlog tells of a traceback where it finds rich, which is imported only now."""
    if event.get("exc_info"):
        import rich.pretty

        module: Any = structlog.tracebacks
        module.rich = rich
    return structlog.processors.dict_tracebacks(logger, method, event)


def _shorten(_logger: Any, _method: str, event: Any) -> Any:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            event[key] = value[:LONGEST_TEXT] + "…"
    return event
