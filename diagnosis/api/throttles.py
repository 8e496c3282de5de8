"""How often one may call: counters in Valkey, which let everything through when Valkey does not answer."""

import hashlib
import time
from typing import Final

import structlog
from django.core.cache import cache
from django.utils.connection import ConnectionDoesNotExist
from prometheus_client import Counter
from redis.exceptions import RedisError
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

UNCOUNTED = Counter("skincare_throttle_uncounted_total", "Requests let through because the counters did not answer")
#: After a failure the counters are not asked for this long, so that a Valkey that hangs costs one request its patience.
PAUSE_SECONDS: Final = 2.0
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}

log = structlog.get_logger(__name__)


class _Counters:
    """Counts events in windows of fixed length. Shared by the threads of a process."""

    silent_until = 0.0

    def add(self, key: str, seconds: int, amount: int = 1) -> int | None:
        """Count, and return how many there are in the current window; nothing where the counters do not answer."""
        if time.monotonic() < self.silent_until:
            UNCOUNTED.inc()
            return None
        window = f"throttle:{key}:{int(time.time()) // seconds}"
        try:
            cache.add(window, 0, timeout=seconds)
            return int(cache.incr(window, amount))
        except ValueError:  # the window closed between the two
            return 0
        except (RedisError, OSError, ConnectionDoesNotExist) as error:
            self.silent_until = time.monotonic() + PAUSE_SECONDS
            UNCOUNTED.inc()
            log.warning("throttle_not_counted", error=type(error).__name__)
            return None


counters = _Counters()


def rate_of(scope: str) -> tuple[int, int]:
    """The rate of a scope from the settings, such as ``300/min``: how many, in how many seconds."""
    number, _, period = str(api_settings.DEFAULT_THROTTLE_RATES[scope]).partition("/")
    return int(number), _SECONDS[period]


def _seconds_left(seconds: int) -> float:
    return seconds - time.time() % seconds


class PerUser(BaseThrottle):
    """Counts a user's requests: ``reads``, ``changes``, and ``submissions`` where the view says so."""

    def allow_request(self, request: Request, view: object) -> bool:
        """Count the request; refuse it where the user made too many."""
        if not request.user or not request.user.is_authenticated:
            return True
        scope = "reads" if request.method in SAFE_METHODS else getattr(view, "throttle_scope_of_changes", "changes")
        number, seconds = rate_of(scope)
        count = counters.add(f"{scope}:{request.user.pk}", seconds)
        self._wait = _seconds_left(seconds)
        return count is None or count <= number

    def wait(self) -> float:
        """Seconds until the next window."""
        return self._wait


class LogInAttempts:
    """Failed log-ins, by account and address, by account, and by address.

    An attempt is counted before it is tried, so that many at once cannot slip past, and taken back if it succeeds.
    The limit for an account from everywhere is wide: a stranger should not be able to lock a clinician out.
    """

    def __init__(self, email: str, address: str | None) -> None:
        account = hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
        self._keys = {
            "login_account_and_address": f"{account}:{address}",
            "login_account": account,
            "login_address": str(address),
        }

    def count(self) -> None:
        """Count this attempt.

        Raises:
            Throttled: too many have failed.
        """
        for scope, key in self._keys.items():
            number, seconds = rate_of(scope)
            count = counters.add(f"{scope}:{key}", seconds)
            if count is not None and count > number:
                raise Throttled(wait=_seconds_left(seconds), detail="too many failed log-ins; wait before the next")

    def take_back(self) -> None:
        """The attempt succeeded: it was none of those to be counted."""
        for scope, key in self._keys.items():
            counters.add(f"{scope}:{key}", rate_of(scope)[1], -1)
