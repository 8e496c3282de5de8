"""A dermatology service's worklist: one page by key, filters, counts, and the reason for each place in words."""

from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext

from diagnosis.models import AnalysisState, AnatomicalSite, Patient, Referral, ReferralState, SavedView, Urgency
from diagnosis.models.referrals import OPEN_STATES
from diagnosis.services.errors import Refusal
from diagnosis.services.wording import per_cent
from diagnosis.services.worklist_order import in_nearer_band
from skincare.accounts.models import Organisation, User

PAGE_SIZE: Final = 50
#: Counts above this are shown as "1000+": counting further would cost more than it tells.
COUNT_LIMIT: Final = 1000

WHOSE: Final = ("all", "mine", "unclaimed", "overdue", "asked_back")


@dataclass(frozen=True)
class Filters:
    """What a worklist is narrowed to. ``record_number`` is looked up through the keyed index and never saved."""

    whose: str = "all"
    urgency: str = ""
    clinic: UUID | None = None
    anatom_site_general: str = ""
    record_number: str = ""

    def check(self) -> None:
        """Make sure that each is known.

        Raises:
            Refusal: one is not.
        """
        for name, value, known in (
            ("whose", self.whose, WHOSE),
            ("urgency", self.urgency, ("", *Urgency.values)),
            ("anatom_site_general", self.anatom_site_general, ("", *AnatomicalSite.values)),
        ):
            if value not in known:
                raise Refusal(
                    "unknown_filter", f"{name}={value!r}: one of {', '.join(filter(None, known))}", field=name
                )


Key = tuple[int, UUID]


@dataclass(frozen=True)
class Page:
    """One page of a worklist, and the key behind which the next begins; none on the last page."""

    referrals: list[Referral]
    next_key: Key | None


def worklist(
    *, user: User, service: Organisation, filters: Filters, after: Key | None = None, size: int = PAGE_SIZE
) -> Page:
    """The open referrals of a service in their order. Two queries, at any depth.

    Args:
        service: one where ``user`` is a dermatologist (the caller has made sure).
        after: the key of the last row of the page before.

    Raises:
        Refusal: an unknown filter.
    """
    filters.check()
    rows = _filtered(user, service, filters).order_by("sort_key", "pk")
    if after is not None:
        key, pk = after
        # The first condition is what the index serves, the second passes over equal keys.
        rows = rows.filter(sort_key__gte=key).filter(Q(sort_key__gt=key) | Q(pk__gt=pk))
    found = list(_with_what_a_row_shows(rows)[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(found[:size], None if last is None else (last.sort_key, last.pk))


def page_before(*, user: User, service: Organisation, filters: Filters, before: Key, size: int = PAGE_SIZE) -> Page:
    """The page that ends in front of a row, in the worklist's order; its ``next_key`` is that of its last row.

    Raises:
        Refusal: an unknown filter.
    """
    filters.check()
    key, pk = before
    rows = _filtered(user, service, filters).filter(sort_key__lte=key).filter(Q(sort_key__lt=key) | Q(pk__lt=pk))
    found = list(_with_what_a_row_shows(rows.order_by("-sort_key", "-pk"))[:size])[::-1]
    return Page(found, (found[-1].sort_key, found[-1].pk) if found else None)


def _with_what_a_row_shows(rows: QuerySet[Referral]) -> QuerySet[Referral]:
    return rows.select_related(
        "case__organisation", "case__analysis", "case__patient__data_key_row", "claimed_by"
    ).defer(
        "case__analysis__sealed_map",
        "case__analysis__sealed_embedding",
        "case__analysis__readings",
        "case__analysis__conditions",
        "case__analysis__timings",
    )


def _filtered(user: User, service: Organisation, filters: Filters) -> QuerySet[Referral]:
    rows: QuerySet[Referral] = Referral.objects.filter(service=service, state__in=OPEN_STATES, stopped_at__isnull=True)
    match filters.whose:
        case "mine":
            rows = rows.filter(claimed_by=user)
        case "unclaimed":
            rows = rows.filter(state=ReferralState.SENT)
        case "overdue":
            rows = rows.filter(due_at__lt=timezone.now())
        case "asked_back":
            rows = rows.filter(state=ReferralState.MORE_INFORMATION_ASKED)
    if filters.urgency:
        rows = rows.filter(urgency=filters.urgency)
    if filters.clinic:
        rows = rows.filter(case__organisation=filters.clinic)
    if filters.anatom_site_general:
        rows = rows.filter(case__anatom_site_general=filters.anatom_site_general)
    if filters.record_number:
        # Only the clinics that have something before this service: a number of another clinic finds nobody.
        clinics = Organisation.objects.filter(
            pk__in=Referral.objects.filter(service=service, state__in=OPEN_STATES).values("case__organisation")
        )
        patients = Patient.objects.with_record_number(filters.record_number, clinics)
        rows = rows.filter(case__patient__in=patients)
    return rows


def counts(*, user: User, service: Organisation) -> dict[str, int]:
    """How many there are of each of ``WHOSE``, up to ``COUNT_LIMIT`` + 1, which stands for more."""
    return {
        whose: _filtered(user, service, Filters(whose=whose)).order_by()[: COUNT_LIMIT + 1].count() for whose in WHOSE
    }


def reason(referral: Referral, *, blind: bool) -> str:
    """Why a referral stands where it does.

    Args:
        blind: whether nothing of the network's answer may be told (see docs/decisions/0081).
    """
    now = timezone.now()
    words = [str(Urgency(referral.urgency).label)]
    if referral.due_at < now:
        words.append(gettext("overdue by %(time)s") % {"time": timesince(referral.due_at, now)})
    else:
        words.append(gettext("due in %(time)s") % {"time": timesince(now, referral.due_at)})
    if referral.escalated_at:
        words.append(gettext("moved up, because it is overdue"))
    if blind:
        if in_nearer_band(referral.sort_key):
            words.append(gettext("to be looked at early"))
        return "; ".join(words)
    analysis = referral.case.analysis
    if analysis.state == AnalysisState.ANSWERED:
        words.append(gettext("malignancy risk %(risk)s") % {"risk": per_cent(analysis.malignancy_risk or 0.0)})
    else:
        words.append(gettext("no AI result"))
    return "; ".join(words)


def save_view(*, user: User, service: Organisation, name: str, filters: Filters) -> SavedView:
    """Keep filters under a name; one of that name is replaced.

    Raises:
        Refusal: no name, an unknown filter, or a record number, which is not kept.
    """
    filters.check()
    if not name.strip() or len(name) > 60:
        raise Refusal("name_missing", "a view needs a name of 1 to 60 characters", field="name")
    if filters.record_number:
        raise Refusal("not_kept", "a record number is not kept in a view", field="record_number")
    kept = {
        field.name: str(value) for field in fields(filters) if (value := getattr(filters, field.name)) not in ("", None)
    }
    return SavedView.objects.update_or_create(
        user=user, service=service, name=name.strip(), defaults={"filters": kept}
    )[0]


def filters_of(kept: dict[str, Any]) -> Filters:
    """Filters from their texts, as a saved view or an address has them.

    Raises:
        Refusal: an id is none.
    """
    clinic = kept.get("clinic") or None
    try:
        return Filters(**{**kept, "clinic": UUID(str(clinic)) if clinic else None})
    except ValueError as error:
        raise Refusal("unknown_filter", f"clinic={clinic!r} is not an id", field="clinic") from error
