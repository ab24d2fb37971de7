"""What the hub tells about itself: log lines (structlog, for libraries too) and the metrics."""

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, start_http_server
from prometheus_client.exposition import generate_latest
from structlog.typing import Processor

from hub.platform import settings
from hub.platform.supervisor import describe

Event = MutableMapping[str, Any]  # Any: structlog's own type of a log line

# The last fence, not the rule: who logs leaves these out. A mobile number keeps its first three and last four digits.
_PHONE = re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)")
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")

# Each says more at info than a person wants to read, or the names of what it was given.
_QUIET = (
    "alembic",
    "apscheduler",
    "arq",
    "asyncio",
    "httpx",
    "httpcore",
    "uvicorn.access",
    "uvicorn.error",
    "PIL",
    "limits",
)


def exposition() -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, and their content type."""
    return generate_latest(), CONTENT_TYPE_LATEST


@contextmanager
def serve_metrics(host: str, port: int) -> Iterator[None]:
    """The metrics of a process that serves nothing else, on a thread of its own; port 0: none. `OSError` when it is taken."""
    if not port:
        yield
        return
    server, thread = start_http_server(port, host)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def configure_logging(chosen: settings.Log, stream: TextIO = sys.stderr) -> None:
    """Send all that is logged to `stream`, one line each; a bad level or format is refused with `BadSettings`."""
    level = logging.getLevelNamesMapping().get(chosen.level.upper())
    if level is None or chosen.format not in ("console", "json"):
        raise settings.BadSettings(f"log: no level {chosen.level!r} with format {chosen.format!r}")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _one_line_error,
        _mask,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    _route_logging(level, _renderer(chosen.format, stream), shared, stream)


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)


def _route_logging(level: int, renderer: Processor, shared: list[Processor], stream: TextIO) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


def _one_line_error(_logger: Any, _method: str, event: Event) -> Event:
    """An exception becomes its type, the first line of its text (others may hold row values) and its last frames."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error"] = describe(error)
        event["at"] = _frames(error)
    return event


def _frames(error: BaseException) -> str:
    """Where it was raised, innermost last: `file:line function`, no source text and no values."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " > ".join(frames[-6:])


def _mask(_logger: Any, _method: str, event: Event) -> Event:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _TOKEN.sub("[token]", _PHONE.sub(r"\1****\2", value))
    return event
