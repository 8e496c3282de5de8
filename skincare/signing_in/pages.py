"""What every page about signing in rests on."""

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import cache_control
from rest_framework.exceptions import Throttled

from diagnosis.api.throttles import Attempts
from skincare.accounts.recently import Page


def page(view: Page, *, signed_in: bool = True) -> Page:
    """A page kept by no cache, whose audit events are written in the transaction of what they record."""
    whole: Page = transaction.atomic(view)
    if signed_in:
        whole = login_required(whole)
    kept_nowhere: Page = cache_control(private=True, no_store=True)(whole)
    return kept_nowhere


class TooMany(Exception):
    """Too many attempts have failed; the text says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(_in_words(seconds))
        self.seconds = seconds


def count(attempts: Attempts) -> None:
    """Count an attempt before it is tried.

    Raises:
        TooMany: it may not be tried now.
    """
    try:
        attempts.count()
    except Throttled as throttled:
        seconds: int = throttled.wait  # type: ignore[attr-defined]  # the stubs do not know it
        raise TooMany(seconds) from None


def _in_words(seconds: int) -> str:
    if seconds < 90:
        return gettext("Too many failed attempts. Try again in %(seconds)d seconds.") % {"seconds": seconds}
    minutes = -(-seconds // 60)
    return ngettext(
        "Too many failed attempts. Try again in %(minutes)d minute.",
        "Too many failed attempts. Try again in %(minutes)d minutes.",
        minutes,
    ) % {"minutes": minutes}
