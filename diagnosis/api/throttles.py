"""How often one may call: counters in Valkey. When it does not answer, the audit record counts what is guessed."""

import hashlib
import time
from collections.abc import Mapping
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

from skincare.accounts.events import refused_since
from skincare.accounts.models import User

UNCOUNTED = Counter("skincare_throttle_uncounted_total", "Requests let through because the counters did not answer")
#: After a failure the counters are not asked for this long, so that a Valkey that hangs costs one request its patience.
PAUSE_SECONDS: Final = 2.0
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}

log = structlog.get_logger(__name__)


class _Counters:
    """Counts events in windows of fixed length. Shared by the threads of a process."""

    silent_until = 0.0

    def are_silent(self) -> bool:
        """Whether they did not answer a moment ago."""
        return time.monotonic() < self.silent_until

    def add(self, key: str, seconds: int, amount: int = 1) -> int | None:
        """Count, and return how many there are in the current window; nothing where the counters do not answer."""
        if self.are_silent():
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


class Attempts:
    """Failed attempts, in several windows at once.

    An attempt is counted before it is tried, so that many at once cannot slip past, and taken back if it succeeds.
    """

    what = "log-ins"

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def count(self) -> None:
        """Count this attempt.

        Raises:
            Throttled: too many have failed.
        """
        for scope, key in self._keys.items():
            number, seconds = rate_of(scope)
            count = counters.add(f"{scope}:{key}", seconds)
            if count is not None and count > number:
                raise Throttled(
                    wait=_seconds_left(seconds), detail=f"too many failed {self.what}; wait before the next"
                )

    def take_back(self) -> None:
        """The attempt succeeded: it was none of those to be counted."""
        for scope, key in self._keys.items():
            counters.add(f"{scope}:{key}", rate_of(scope)[1], -1)


def _digest(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()[:32]


class LogInAttempts(Attempts):
    """Wrong passwords, by account and address, by account, and by address.

    The limit for an account from everywhere is wide: a stranger should not be able to lock a clinician out. Where the
    counters do not answer, the audit record counts what an account was tried with: who can take Valkey away must not
    be able to guess passwords by it.
    """

    def __init__(self, email: str, address: str | None) -> None:
        self._email, self._address = email.strip().lower(), address
        account = _digest(self._email)
        super().__init__(
            {
                "login_account_and_address": f"{account}:{address}",
                "login_account": account,
                "login_address": str(address),
            }
        )

    def count(self) -> None:
        """Count this attempt.

        Raises:
            Throttled: too many have failed.
        """
        super().count()
        user = (
            User.objects.filter(email=self._email).first()
            if counters.are_silent() and "\0" not in self._email
            else None
        )
        if user is None:
            return
        for scope, address in (("login_account_and_address", self._address), ("login_account", None)):
            number, seconds = rate_of(scope)
            if refused_since(user, step="password", seconds=seconds, address=address) >= number:
                raise Throttled(wait=seconds, detail=f"too many failed {self.what}; wait before the next")


class CodeAttempts(Attempts):
    """Wrong codes of second factors: only who knows the password gets here, so the limit may be narrow.

    Six digits can be guessed by whoever may go on trying, so where the counters do not answer the audit record does.
    """

    what = "codes"

    def __init__(self, user: User, address: str | None) -> None:
        self._user = user
        super().__init__({"code_account_and_address": f"{user.pk}:{address}", "code_account": str(user.pk)})

    def count(self) -> None:
        """Count this attempt.

        Raises:
            Throttled: too many have failed.
        """
        super().count()
        number, seconds = rate_of("code_account")
        if counters.are_silent() and refused_since(self._user, step="code", seconds=seconds) >= number:
            raise Throttled(wait=seconds, detail="too many failed codes; wait before the next")


class PasskeyAttempts(Attempts):
    """Failed sign-ins by passkey alone, by address: there is nothing in them to guess at an account's cost."""

    def __init__(self, address: str | None) -> None:
        super().__init__({"login_address": str(address)})
