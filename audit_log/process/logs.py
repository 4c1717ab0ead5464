"""Logs: one event per line, as text or as JSON."""

import logging
import sys

import structlog


def set_up_logs(log_format: str, level: str) -> None:
    """Send structlog and the standard library's loggers to standard error in *log_format*.

    `console` is text for people, `json` one object per line. Our loggers log from *level* up,
    libraries from `warning` up.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("asyncio").addFilter(is_news)
    for ours in ("audit_log", "audit_api", "proxy", "deploy"):
        logging.getLogger(ours).setLevel(level.upper())


def is_news(record: logging.LogRecord) -> bool:
    """Say whether *record* of asyncio's logger tells what no other line tells.

    A connection that is lost during a COPY on uvloop's loop leaves a future of asyncpg 0.32 behind
    that nothing reads, and asyncio logs it with a traceback. So does uvloop for a server whose
    reply makes no sense to asyncpg. The loss of the connection is logged by the part that used it.
    """
    error = record.exc_info[1] if record.exc_info else None
    is_of_a_connection = "<asyncpg.protocol." in record.getMessage()
    return not is_of_a_connection and type(error).__module__ != "asyncpg.exceptions"
