"""Whose figures somebody may see, and of which months."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from django.db.models import Q, QuerySet

from diagnosis.models.patients import organisations_of_administrator
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services.errors import Refusal
from skincare.accounts.models import Organisation, User

#: Months shown unless others are asked for, this one included.
MONTHS: Final = 6
#: At most so many at once.
MOST_MONTHS: Final = 36


def organisations_of(user: User) -> QuerySet[Organisation]:
    """Those whose figures the user may see: services where they are dermatologist, and all that they administer."""
    services = services_of_dermatologist(user).values("pk")
    administered = organisations_of_administrator(user).values("pk")
    return Organisation.objects.filter(Q(pk__in=services) | Q(pk__in=administered)).order_by("-kind", "name")


@dataclass(frozen=True)
class Period:
    """Whole months, so that no two periods differ by a few patients only."""

    first: date
    """The first day of the first month."""
    until: date
    """The first day of the month after the last one."""

    @classmethod
    def of(cls, first: str, last: str, today: date) -> "Period":
        """From two months, ``YYYY-MM``; empty ones stand for the last half-year.

        Raises:
            Refusal: one is no month, they are in the wrong order, or too many.
        """
        last_month = _month(last, "until") if last else today.replace(day=1)
        first_month = _month(first, "from") if first else _later(last_month, 1 - MONTHS)
        if not first_month <= last_month:
            raise Refusal("wrong_order", f"from {first_month:%Y-%m} is after until {last_month:%Y-%m}", field="from")
        if _later(first_month, MOST_MONTHS) <= last_month:
            raise Refusal("too_many_months", f"at most {MOST_MONTHS} months at once", field="from")
        return cls(first_month, _later(last_month, 1))

    @property
    def begins(self) -> datetime:
        """When it begins, UTC."""
        return datetime.combine(self.first, datetime.min.time(), UTC)

    @property
    def ends(self) -> datetime:
        """When it is over, UTC."""
        return datetime.combine(self.until, datetime.min.time(), UTC)

    @property
    def last(self) -> date:
        """The first day of its last month."""
        return _later(self.until, -1)

    def before(self, months: int) -> "Period":
        """So many months that end where this one begins."""
        return Period(_later(self.first, -months), self.first)


def _month(text: str, field: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise Refusal("no_month", f"{field}={text!r} is no month, such as 2026-03", field=field) from error


def _later(month: date, months: int) -> date:
    number = month.year * 12 + month.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)
