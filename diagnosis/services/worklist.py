"""A dermatology service's worklist: one page by key, filters, counts, and the reason for each place in words.

Open referrals stand in the order in which they are best read. With those that were answered too, the list is what was
sent, the newest first.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext

from diagnosis.models import AnalysisState, AnatomicalSite, Patient, Referral, ReferralState, SavedView, Urgency
from diagnosis.models.referrals import OPEN_STATES, SHOWN_TO_SERVICE
from diagnosis.services.errors import Refusal
from diagnosis.services.wording import per_cent
from diagnosis.services.worklist_order import in_nearer_band
from skincare.accounts.models import Organisation, User

PAGE_SIZE: Final = 50
#: Counts above this are shown as "1000+": counting further would cost more than it tells.
COUNT_LIMIT: Final = 1000

WHOSE: Final = ("all", "mine", "unclaimed", "claimed", "overdue", "asked_back")
#: Open ones, or all that the service may see: answered and closed ones too.
STATES: Final = ("open", "all")


@dataclass(frozen=True)
class Filters:
    """What a worklist is narrowed to. ``record_number`` is looked up through the keyed index and never saved."""

    whose: str = "all"
    urgency: str = ""
    clinic: UUID | None = None
    anatom_site_general: str = ""
    record_number: str = ""
    states: str = "open"

    def check(self) -> None:
        """Make sure that each is known.

        Raises:
            Refusal: one is not.
        """
        for name, value, known in (
            ("whose", self.whose, WHOSE),
            ("states", self.states, STATES),
            ("urgency", self.urgency, ("", *Urgency.values)),
            ("anatom_site_general", self.anatom_site_general, ("", *AnatomicalSite.values)),
        ):
            if value not in known:
                raise Refusal(
                    "unknown_filter", f"{name}={value!r}: one of {', '.join(filter(None, known))}", field=name
                )


#: What a list is ordered by, and the id: the sort key, or with all states microseconds since 1970.
Key = tuple[int, UUID]
_BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """One page of a worklist, and the key behind which the next begins; none on the last page."""

    referrals: list[Referral]
    next_key: Key | None


def key_of(referral: Referral, filters: Filters) -> Key:
    """A row's place in the list that these filters make."""
    if filters.states == "open":
        return referral.sort_key, referral.pk
    return (referral.sent_at - _BEGIN) // timedelta(microseconds=1), referral.pk


def worklist(
    *, user: User, service: Organisation, filters: Filters, after: Key | None = None, size: int = PAGE_SIZE
) -> Page:
    """The referrals of a service in their order. Two queries, at any depth.

    Args:
        service: one where ``user`` is a dermatologist (the caller has made sure).
        after: the key of the last row of the page before.

    Raises:
        Refusal: an unknown filter.
    """
    filters.check()
    rows = _filtered(user, service, filters)
    # The first condition is what the index serves, the second passes over equal keys.
    if filters.states == "open":
        rows = rows.order_by("sort_key", "pk")
        if after is not None:
            key, pk = after
            rows = rows.filter(sort_key__gte=key).filter(Q(sort_key__gt=key) | Q(pk__gt=pk))
    else:
        rows = rows.order_by("-sent_at", "-pk")
        if after is not None:
            at, pk = _moment(after[0]), after[1]
            rows = rows.filter(sent_at__lte=at).filter(Q(sent_at__lt=at) | Q(pk__lt=pk))
    found = list(_with_what_a_row_shows(rows)[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(found[:size], None if last is None else key_of(last, filters))


def _moment(microseconds: int) -> datetime:
    try:
        return _BEGIN + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise Refusal("unknown_place", "this is no place in the list; start without one") from error


def page_before(*, user: User, service: Organisation, filters: Filters, before: Key, size: int = PAGE_SIZE) -> Page:
    """The page that ends in front of a row, in the worklist's order; its ``next_key`` is that of its last row.

    Raises:
        Refusal: an unknown filter.
    """
    filters.check()
    key, pk = before
    rows = _filtered(user, service, filters)
    if filters.states == "open":
        rows = rows.filter(sort_key__lte=key).filter(Q(sort_key__lt=key) | Q(pk__lt=pk)).order_by("-sort_key", "-pk")
    else:
        at = _moment(key)
        rows = rows.filter(sent_at__gte=at).filter(Q(sent_at__gt=at) | Q(pk__gt=pk)).order_by("sent_at", "pk")
    found = list(_with_what_a_row_shows(rows)[:size])[::-1]
    return Page(found, key_of(found[-1], filters) if found else None)


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
    # Nothing but an open one is overdue.
    shown = SHOWN_TO_SERVICE if filters.states == "all" and filters.whose != "overdue" else OPEN_STATES
    rows: QuerySet[Referral] = Referral.objects.under_consent().filter(service=service, state__in=shown)
    match filters.whose:
        case "mine":
            rows = rows.filter(claimed_by=user)
        case "unclaimed":
            rows = rows.filter(state=ReferralState.SENT)
        case "claimed":
            rows = rows.filter(state=ReferralState.ACCEPTED)
        case "overdue":
            rows = rows.filter(due_at__lt=timezone.now())
        case "asked_back":
            rows = rows.filter(state=ReferralState.MORE_INFORMATION_ASKED)
    if filters.urgency:
        rows = rows.filter(urgency=filters.urgency)
    if filters.clinic:
        rows = rows.filter(clinic=filters.clinic)
    if filters.anatom_site_general:
        rows = rows.filter(anatom_site_general=filters.anatom_site_general)
    if filters.record_number:
        # Only the clinics that have something before this service: a number of another clinic finds nobody.
        clinics = Organisation.objects.filter(
            pk__in=Referral.objects.filter(service=service, state__in=shown).values("clinic")
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
    if referral.answered_at is not None and not referral.open:
        words.append(gettext("answered %(time)s ago") % {"time": timesince(referral.answered_at, now)})
        return gettext("; ").join(words)
    if referral.due_at < now:
        words.append(gettext("overdue by %(time)s") % {"time": timesince(referral.due_at, now)})
    else:
        words.append(gettext("due in %(time)s") % {"time": timesince(now, referral.due_at)})
    if referral.escalated_at:
        words.append(gettext("moved up, because it is overdue"))
    if blind:
        if in_nearer_band(referral.sort_key):
            words.append(gettext("to be looked at early"))
        return gettext("; ").join(words)
    analysis = referral.case.analysis
    if analysis.state == AnalysisState.ANSWERED:
        words.append(gettext("malignancy risk %(risk)s") % {"risk": per_cent(analysis.malignancy_risk or 0.0)})
    else:
        words.append(gettext("no AI result"))
    return gettext("; ").join(words)


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
        field.name: str(value)
        for field in fields(filters)
        if (value := getattr(filters, field.name)) not in ("", None) and (field.name, value) != ("states", "open")
    }
    return SavedView.objects.update_or_create(
        user=user, service=service, name=name.strip(), defaults={"filters": kept}
    )[0]


@transaction.atomic
def delete_view(*, user: User, view_id: UUID) -> None:
    """Forget a saved view.

    Raises:
        Refusal: the user has none of that id.
    """
    if not SavedView.objects.filter(user=user, pk=view_id).delete()[0]:
        raise Refusal("not_found", "there is no such view of yours")


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
