"""Tells the broker every two seconds that an inference process lives and which network it has loaded.

`celery inspect` would ask each worker and wait for a second; a key that expires answers at once, and a process that
was killed, frozen or cut off falls silent by itself.
"""

import json
import threading
from dataclasses import dataclass
from typing import Final

import redis
import structlog

PREFIX: Final = "skincare:inference:"
BEAT_SECONDS: Final = 2.0
SILENT_AFTER_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 0.8  # below the second that a readiness check may take

log = structlog.get_logger(__name__)


def connect(url: str) -> "redis.Redis":
    """A client that gives up soon and does not try again by itself."""
    return redis.Redis.from_url(
        url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS, decode_responses=True
    )


@dataclass(frozen=True)
class Living:
    """One inference process that was heard of within SILENT_AFTER_SECONDS."""

    process: str
    model_version: str


def living(client: "redis.Redis") -> list[Living]:
    """The inference processes that live, in the order of their names. Raises redis.RedisError."""
    keys = sorted(client.scan_iter(match=f"{PREFIX}*", count=1000))
    values = client.mget(keys) if keys else []
    return [
        Living(key.removeprefix(PREFIX), json.loads(value)["model_version"])
        for key, value in zip(keys, values, strict=True)
        if value is not None
    ]


class Heartbeat:
    """Beats in a thread of the process that holds the network, so that it stops when that process does."""

    def __init__(self, url: str, process: str) -> None:
        """`process` names the process among all inference processes, e.g. host and process number."""
        self._client = connect(url)
        self._key = f"{PREFIX}{process}"
        self._model_version = ""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self, model_version: str) -> None:
        """Says at once which version is loaded (its name, or "" while none is), and goes on saying so."""
        self._model_version = model_version
        self._say()
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Says farewell, so that nobody waits for the key to expire."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(2 * PATIENCE_SECONDS)
        try:
            self._client.delete(self._key)
        except redis.RedisError:
            log.debug("heartbeat_farewell_unheard")

    def _go_on(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            self._say()

    def _say(self) -> None:
        try:
            self._client.set(self._key, json.dumps({"model_version": self._model_version}), ex=SILENT_AFTER_SECONDS)
        except redis.RedisError as error:
            # Without a broker nobody hears; the next beat tries again.
            log.debug("heartbeat_unheard", error=type(error).__name__)
