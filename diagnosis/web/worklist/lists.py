"""The worklist of a service: open referrals in the order in which they are best read."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.models import AnatomicalSite, Referral, SavedView, Urgency
from diagnosis.services.errors import Refusal
from diagnosis.services.referral_messages import unread_counts
from diagnosis.services.referral_states import person
from diagnosis.services.second_opinions import asked_of
from diagnosis.services.worklist import (
    COUNT_LIMIT,
    Filters,
    Key,
    Page,
    counts,
    delete_view,
    filters_of,
    key_of,
    page_before,
    reason,
    save_view,
    worklist,
)
from diagnosis.services.worklist_order import policy_of
from diagnosis.web.worklist.base import ReaderPage, polled
from skincare.accounts.models import Organisation
from skincare.audit.record import record_reads

TABS: Final[dict[str, Promise]] = {
    "all": _("All"),
    "unclaimed": _("Unclaimed"),
    "claimed": _("Claimed"),
    "mine": _("Mine"),
    "overdue": _("Overdue"),
    "asked_back": _("Asked back"),
}
#: What an address may narrow the list to, beside the service.
FILTERS: Final = ("whose", "urgency", "anatom_site_general", "states")
#: What an address need not say.
USUAL: Final = {("whose", "all"), ("states", "open")}


def place_of(text: str) -> Key:
    """A row's place from an address: ``<key>.<id>``.

    Raises:
        Http404: it is none.
    """
    number, _dot, pk = text.partition(".")
    try:
        if not (number.isascii() and number.isdigit() and len(number) < 18):
            raise ValueError(number)
        return int(number), UUID(pk)
    except ValueError as error:
        raise Http404 from error


def place(referral: Referral, filters: Filters) -> str:
    """A row's place, for an address; see ``place_of``."""
    key, pk = key_of(referral, filters)
    return f"{key}.{pk}"


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
    kept = {name: value for name in FILTERS if (value := getattr(filters, name)) and (name, value) not in USUAL}
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
        context["views"] = self._views(service, filters)
        asked = list(asked_of(self.user)) if not request.GET.get("part") else []
        context["asked"] = asked
        patients += [(each.referral.case.organisation_id, each.referral.case.patient_id) for each in asked]
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

    def _views(self, service: Organisation, filters: Filters) -> list[dict[str, object]]:
        rows = SavedView.objects.filter(user=self.user, service=service)
        found = [(row, filters_of(row.filters)) for row in rows]
        return [
            {"row": row, "address": f"?{query_of(kept, service)}", "current": kept == filters} for row, kept in found
        ]

    def _rows(self, request: HttpRequest, service: Organisation, filters: Filters) -> Page:
        if before := request.GET.get("before"):
            page = page_before(user=self.user, service=service, filters=filters, before=place_of(before))
            if page.referrals:
                return page
        after = request.GET.get("after")
        return worklist(user=self.user, service=service, filters=filters, after=place_of(after) if after else None)

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
                "overdue": referral.open and referral.due_at < now,
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
            "previous": f"?{query_of(filters, service, before=place(first, filters))}" if paged and first else "",
            "next": f"?{query_of(filters, service, after=f'{next_key[0]}.{next_key[1]}')}" if next_key else "",
            "everything": f"?{query_of(Filters(), service)}",
            "narrowed": bool(filters.urgency or filters.anatom_site_general or filters.states != "open"),
        }


class FindPage(WorklistPage):
    """Referrals of a patient by record number, answered ones too. It travels in the body: addresses end up in logs."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """Show what is found, without live updates."""
        service = self._service(request.POST.get("service", ""))
        wanted = request.POST.get("record_number", "").strip()[:100]
        filters = Filters(record_number=wanted, states="all")
        shown = worklist(user=self.user, service=service, filters=filters) if wanted else Page([], None)
        record_reads(self.user, [(row.case.organisation_id, row.case.patient_id) for row in shown.referrals])
        context = self._context(service, Filters(), Page(shown.referrals, None), request)
        context |= {"found": wanted, "views": self._views(service, Filters())}
        return render(request, "worklist/list.html", context)


class ViewsPage(WorklistPage):
    """Keep what the list is narrowed to under a name, or forget a view."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """Do it, and go back to the list."""
        service = self._service(request.POST.get("service", ""))
        try:
            if text := request.POST.get("forget"):
                delete_view(user=self.user, view_id=UUID(text))
                return HttpResponseRedirect(f"{reverse('worklist')}?service={service.pk}", status=303)
            kept = {name: request.POST[name] for name in FILTERS if request.POST.get(name)}
            row = save_view(
                user=self.user, service=service, name=request.POST.get("name", ""), filters=filters_of(kept)
            )
        except (Refusal, ValueError) as refused:
            raise Http404(str(refused)) from refused
        return HttpResponseRedirect(f"{reverse('worklist')}?{query_of(filters_of(row.filters), service)}", status=303)


def _kept(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in FILTERS}
