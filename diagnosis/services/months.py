"""Counting in calendar months, as policies do."""

import calendar
from datetime import datetime


def months_later(moment: datetime, months: int) -> datetime:
    """The same day so many months later (earlier, if negative), or that month's last day where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
