"""Structured logs: one line an event, with the request's id carried on into Celery, and nothing about a person."""

import logging
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# A user agent narrows down a person; an address and a query string may hold a name or a record number.
PERSONAL = frozenset({"user_agent", "ip", "email", "username", "password", "token", "authorization", "cookie"})


def scrub(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Drops what describes a person, and everything after the question mark of a request's path."""
    for field in PERSONAL & event.keys():
        del event[field]
    if isinstance(request := event.get("request"), str):
        event["request"] = request.partition("?")[0]
    return event


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    scrub,
]


def configure() -> None:
    """Sends structlog's events through the standard library, where Django's and Celery's own arrive as well."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def dictionary(renderer: Processor, level: int = logging.INFO) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error through `renderer`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    renderer,
                ],
                "foreign_pre_chain": SHARED,
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # django_structlog tells of each request and each failure already, with the request's id.
            "django.server": {"handlers": [], "propagate": False},
            "django.request": {"level": "CRITICAL"},
            # Celery tells of every task that it receives, runs and sends; the sweep is one every two seconds.
            "celery": {"level": "WARNING"},
        },
    }
