"""What must be there before a case can be submitted and answered; each check takes a second at most."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

import redis
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

from skincare.health import heartbeat

DEADLINE_SECONDS: Final = 1.0
OLDEST_POSTGRES: Final = 15

Check = Callable[[], None]


class NotReady(Exception):
    """A part is missing; the text says which, and what to do."""


# A check that hangs keeps its thread; with all threads hanging, the parts are reported as silent, which is true.
_pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="readiness")
_migrated_databases: set[str] = set()


def database() -> None:
    """PostgreSQL answers and takes writes, and every migration of this code has been applied."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')")
            if cursor.fetchone() == ("on",):
                raise NotReady("PostgreSQL takes no writes: it is a standby, or fails over. Look at its cluster.")
        name = connection.settings_dict["NAME"]
        # The code of a process does not change, so what was once up to date stays so: loading takes 0.1 s.
        if name not in _migrated_databases:
            executor = MigrationExecutor(connection)
            if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
                raise NotReady(f"{len(plan)} migrations are not applied, the first is {plan[0][0]}: manage.py migrate.")
            _migrated_databases.add(name)
    except DatabaseError as error:
        raise NotReady(
            f"PostgreSQL does not answer ({type(error).__name__}): start it, or set DATABASE_URL."
        ) from error


def broker() -> None:
    """Redis or Valkey takes commands."""
    try:
        with heartbeat.connect(settings.REDIS_URL) as client:
            client.ping()
    except redis.RedisError as error:
        raise NotReady(f"Redis does not answer ({type(error).__name__}): start it, or set REDIS_URL.") from error


def worker() -> None:
    """At least one inference process was heard of lately."""
    try:
        with heartbeat.connect(settings.REDIS_URL) as client:
            if not heartbeat.living(client):
                raise NotReady(
                    f"No inference worker was heard of for {heartbeat.SILENT_AFTER_SECONDS} s: "
                    "celery -A skincare worker -Q inference."
                )
    except redis.RedisError as error:
        raise NotReady("Workers cannot be heard while Redis does not answer.") from error


def _run(path: str) -> None:
    try:
        check: Check = import_string(path)
        check()
    finally:
        connections.close_all()  # those of this thread: nobody else would


def readiness() -> dict[str, str]:
    """Asks every part of settings.READINESS_CHECKS at once; for each an empty text, or what is missing."""
    futures: dict[str, Future[None]] = {
        part: _pool.submit(_run, path) for part, path in settings.READINESS_CHECKS.items()
    }
    wait(futures.values(), timeout=DEADLINE_SECONDS)
    return {part: _sentence(future) for part, future in futures.items()}


def _sentence(future: Future[None]) -> str:
    if not future.done():
        return f"No answer within {DEADLINE_SECONDS:.0f} s."
    error = future.exception()
    if error is None:
        return ""
    # The text of an unforeseen error may hold an address with a password.
    return str(error) if isinstance(error, NotReady) else f"The check failed with {type(error).__name__}."


@register(Tags.database)
def postgres_is_recent(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Stops `migrate` on a PostgreSQL that is too old for the constraints used here."""
    old = [alias for alias in databases or () if connections[alias].pg_version < OLDEST_POSTGRES * 10_000]  # type: ignore[attr-defined]
    return [
        Error(
            f"The database {alias} is PostgreSQL {connections[alias].pg_version // 10_000}.",  # type: ignore[attr-defined]
            hint=f"PostgreSQL {OLDEST_POSTGRES} or newer is needed.",
            id="skincare.E001",
        )
        for alias in old
    ]
