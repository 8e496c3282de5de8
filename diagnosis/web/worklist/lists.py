"""The worklist of a service: open referrals in the order in which they are best read."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.models import AnatomicalSite, Referral, Urgency
from diagnosis.services.errors import Refusal
from diagnosis.services.referral_messages import unread_counts
from diagnosis.services.referral_states import person
from diagnosis.services.worklist import (
    COUNT_LIMIT,
    Filters,
    Key,
    Page,
    counts,
    filters_of,
    page_before,
    reason,
    worklist,
)
from diagnosis.services.worklist_order import policy_of
from diagnosis.web.worklist.base import ReaderPage, polled
from skincare.accounts.models import Organisation
from skincare.audit.record import record_reads

TABS: Final[dict[str, Promise]] = {
    "all": _("All"),
    "unclaimed": _("Unclaimed"),
    "mine": _("Mine"),
    "overdue": _("Overdue"),
    "asked_back": _("Asked back"),
}
#: What an address may narrow the list to, beside the service.
FILTERS: Final = ("whose", "urgency", "anatom_site_general")


def key_of(text: str) -> Key:
    """A row's place from an address: ``<sort key>.<id>``.

    Raises:
        Http404: it is none.
    """
    number, _dot, pk = text.partition(".")
    try:
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise ValueError(number)
        return int(number), UUID(pk)
    except ValueError as error:
        raise Http404 from error


def place(referral: Referral) -> str:
    """A row's place, for an address; see ``key_of``."""
    return f"{referral.sort_key}.{referral.pk}"


def chosen_filters(request: HttpRequest) -> Filters:
    """What the address narrows the list to.

    Raises:
        Http404: a filter is not known.
    """
    kept = {name: request.GET[name] for name in FILTERS if request.GET.get(name)}
    try:
        filters = filters_of(kept)
        filters.check()
    except Refusal as refusal:
        raise Http404(str(refusal)) from refusal
    return filters


def query_of(filters: Filters, service: Organisation, **more: str) -> str:
    """The query of an address that keeps these filters."""
    kept = {name: value for name in FILTERS if (value := getattr(filters, name)) and (name, value) != ("whose", "all")}
    return urlencode({"service": str(service.pk), **kept, **more})


class WorklistPage(ReaderPage):
    """One page of a service's list. ``part=list`` answers with what changes only, for live updates."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        service = self._service(request.GET.get("service", ""))
        filters = chosen_filters(request)
        shown = self._rows(request, service, filters)
        patients = [(referral.case.organisation_id, referral.case.patient_id) for referral in shown.referrals]
        context = self._context(service, filters, shown, request)
        if request.GET.get("part") == "list":
            response, changed = polled(request, render_to_string("worklist/rows.html", context))
            if changed:
                record_reads(self.user, patients)
            return response
        record_reads(self.user, patients)
        return render(request, "worklist/list.html", context)

    def _service(self, wanted: str) -> Organisation:
        if not wanted:
            return self.services[0]
        for service in self.services:
            if str(service.pk) == wanted:
                return service
        raise Http404

    def _rows(self, request: HttpRequest, service: Organisation, filters: Filters) -> Page:
        if before := request.GET.get("before"):
            page = page_before(user=self.user, service=service, filters=filters, before=key_of(before))
            if page.referrals:
                return page
        after = request.GET.get("after")
        return worklist(user=self.user, service=service, filters=filters, after=key_of(after) if after else None)

    def _context(self, service: Organisation, filters: Filters, shown: Page, request: HttpRequest) -> dict[str, object]:
        blind = policy_of(service).blind_read
        unread = unread_counts(self.user, shown.referrals)
        numbers = counts(user=self.user, service=service)
        now = timezone.now()
        rows = [
            {
                "referral": referral,
                "case": referral.case,
                "reason": reason(referral, blind=blind),
                "overdue": referral.due_at < now,
                "mine": referral.claimed_by_id == self.user.pk,
                "holder": person(referral.claimed_by),
                "unread": unread.get(referral.pk, 0),
                "address": f"{reverse('worklist-case', args=[referral.pk])}?{query_of(filters, service)}",
            }
            for referral in shown.referrals
        ]
        paged = "after" in request.GET or "before" in request.GET
        first, next_key = (shown.referrals[0] if shown.referrals else None), shown.next_key
        return {
            "service": service,
            "services": self.services,
            "filters": filters,
            "rows": rows,
            "tabs": [
                {
                    "code": code,
                    "name": name,
                    "count": f"{COUNT_LIMIT}+" if numbers[code] > COUNT_LIMIT else str(numbers[code]),
                    "address": f"?{query_of(filters_of({**_kept(filters), 'whose': code}), service)}",
                }
                for code, name in TABS.items()
            ],
            "urgencies": Urgency.choices,
            "sites": AnatomicalSite.choices,
            "previous": f"?{query_of(filters, service, before=place(first))}" if paged and first else "",
            "next": f"?{query_of(filters, service, after=f'{next_key[0]}.{next_key[1]}')}" if next_key else "",
            "everything": f"?{query_of(Filters(), service)}",
            "narrowed": bool(filters.urgency or filters.anatom_site_general),
        }


def _kept(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in FILTERS}
