"""The sessions of a person's browsers: noted when they begin, listed, ended one by one."""

import re
from datetime import datetime, timedelta
from importlib import import_module
from typing import Final

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from skincare.accounts.models import BrowserSession, User
from skincare.audit.middleware import client_address
from skincare.audit.record import record

#: "Last used" is no more exact than this, so that not every request writes.
NOTED_EVERY: Final = timedelta(minutes=5)
_BROWSERS: Final = (
    ("Edg(e|A|iOS)?/", "Edge"),
    ("OPR/|Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/|FxiOS/", "Firefox"),
    ("Chrome/|CriOS/|Chromium/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone|iPod", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X|Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux|X11", "Linux"),
)


def device_of(user_agent: str) -> str:
    """What a person recognises a device by, and no more: ``Firefox on Windows``."""
    browser = next((name for pattern, name in _BROWSERS if re.search(pattern, user_agent)), "Unknown browser")
    system = next((name for pattern, name in _SYSTEMS if re.search(pattern, user_agent)), "")
    return f"{browser} on {system}" if system else browser


def begin(request: HttpRequest, user: User, *, second_factor: bool) -> BrowserSession:
    """Note the session that just began, and record that it did. Inside the transaction that begins it."""
    record("session.started", user, actor=user, details={"second_factor": second_factor})
    _forget_ended(user)
    session, _ = BrowserSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "device": device_of(request.META.get("HTTP_USER_AGENT", "")),
            "address": client_address(request),
        },
    )
    return session


def _forget_ended(user: User) -> None:
    """Forget what is over, and with it the addresses that they came from."""
    mine = BrowserSession.objects.filter(user=user)
    alive = Session.objects.filter(
        session_key__in=mine.values("session_key"), expire_date__gt=timezone.now()
    ).values_list("session_key", flat=True)
    mine.exclude(session_key__in=list(alive)).delete()


def sessions_of(user: User) -> list[BrowserSession]:
    """The user's living sessions, the last used first."""
    _forget_ended(user)
    return list(BrowserSession.objects.filter(user=user))


def note_use(session_key: str, last: datetime | None) -> None:
    """Note that a session is in use, if that was ``last`` noted longer ago than ``NOTED_EVERY``."""
    now = timezone.now()
    if last is not None and last < now - NOTED_EVERY:
        BrowserSession.objects.filter(session_key=session_key).update(last_used_at=now)


@transaction.atomic
def revoke(user: User, session: BrowserSession) -> None:
    """End one session of the user, wherever it is."""
    record("session.revoked", user, actor=user, details={"session": str(session.pk)})
    _delete([session])


@transaction.atomic
def revoke_others(user: User, session_key: str | None) -> int:
    """End all sessions of the user but one. Returns how many."""
    others = list(BrowserSession.objects.filter(user=user).exclude(session_key=session_key or ""))
    if others:
        record("session.revoked", user, actor=user, details={"sessions": [str(session.pk) for session in others]})
        _delete(others)
    return len(others)


def renamed(before: str | None, now: str | None) -> None:
    """A session went on under a new key, as it does when its user's password changes."""
    BrowserSession.objects.filter(session_key=before or "").update(session_key=now)


def ended(session_key: str | None) -> None:
    """Forget a session that was signed out of."""
    BrowserSession.objects.filter(session_key=session_key or "").delete()


def _delete(sessions: list[BrowserSession]) -> None:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    for session in sessions:
        store(session.session_key).delete()
        session.delete()
