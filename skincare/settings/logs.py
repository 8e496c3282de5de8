"""Structured logs: one line an event, with the request's id carried on into Celery, and nothing about a person."""

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# A user agent narrows down a person; an address and a query string may hold a name or a record number.
PERSONAL: Final = frozenset({"user_agent", "ip", "email", "username", "password", "token", "authorization", "cookie"})
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD: Final = re.compile(r"[a-z][a-z0-9.-]*")
HIDDEN: Final = "…"


def scrub(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Leaves ids and kinds: drops what describes a person, what a request names, and what an exception quotes."""
    for field in PERSONAL & event.keys():
        del event[field]
    if isinstance(request := event.get("request"), str):
        method, _blank, path = request.partition(" ")
        event["request"] = f"{method} {place_of(path)}" if path else place_of(method)
    told = [text for error in _errors(event.get("exc_info")) for text in _quotations(error)]
    for field, value in event.items():
        if isinstance(value, str):
            for text in told:
                value = value.replace(text, HIDDEN)
            event[field] = value
    return event


def place_of(path: str) -> str:
    """A path without its query, of ids and the site's own words: a program may put a name into an address."""
    words = _words_of_the_site()
    parts = path.partition("?")[0].split("/")
    return "/".join(part if not part or part in words or _ID.fullmatch(part) else HIDDEN for part in parts)


@cache
def _words_of_the_site() -> frozenset[str]:
    from django.urls import get_resolver  # not at import: settings are read before there are any addresses

    def routes(patterns: Any) -> Iterator[str]:
        for pattern in patterns:
            yield str(pattern.pattern)
            yield from routes(getattr(pattern, "url_patterns", ()))

    found = {word for route in routes(get_resolver().url_patterns) for word in re.sub(r"<[^>]*>", "", route).split("/")}
    return frozenset(word for word in found | {"static"} if _WORD.fullmatch(word))


def _errors(exc_info: Any) -> list[BaseException]:
    """The exception that an event tells of, and those that it came from."""
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    found: list[BaseException] = []
    while isinstance(error, BaseException) and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _quotations(error: BaseException) -> list[str]:
    """Its words, the longest first; words of one or two letters stand everywhere."""
    words = {str(error), repr(error), *(str(each) for each in error.args), *str(error).splitlines()}
    return sorted((each for each in words if len(each) > 2 and each != type(error).__name__), key=len, reverse=True)


def tell_where(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Renders an exception as its kinds and the lines that it passed, without its words: they may quote what was sent.

    A database's error, for one, quotes the row that it refused.
    """
    errors = _errors(event.pop("exc_info", None))
    if errors:
        lines = []
        for error in reversed(errors):
            for frame in traceback.extract_tb(error.__traceback__):
                lines.append(f"  {frame.filename}:{frame.lineno} in {frame.name}")
            lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        event["exception"] = "\n".join(lines)
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
                    tell_where,
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
