"""/insight/: charts and tables of one organisation and period, and each table as a file."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.generic import View

from diagnosis.models.patients import organisations_of_administrator
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services.errors import Refusal
from diagnosis.services.insight.figures import Cell, Hidden, Share, Table
from diagnosis.services.insight.report import insight
from diagnosis.services.insight.scope import Period, organisations_of
from diagnosis.services.insight.suppression import FEWEST
from diagnosis.web.insight.drawings import WIDTH, drawn
from diagnosis.web.refusals import in_words
from skincare.accounts.models import Organisation, User


class InsightPage(AccessMixin, View):
    """Shown to dermatologists of a service and to administrators, of what is theirs; kept by no cache."""

    user: User
    organisations: list[Organisation]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.user = request.user
        self.organisations = list(organisations_of(self.user))
        if not self.organisations:
            raise PermissionDenied("this is for dermatologists and administrators; you are neither in any organisation")
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        organisation = self._organisation(request.GET.get("organisation", ""))
        refusal, status = None, 200
        today = datetime.now(UTC).date()
        try:
            period = Period.of(request.GET.get("from", ""), request.GET.get("until", ""), today)
        except Refusal as refused:
            refusal, status, period = in_words(refused), 422, Period.of("", "", today)
        tables = insight(user=self.user, organisation=organisation, period=period)
        if wanted := request.GET.get("csv"):
            return _file(next((table for table in tables if table.key == wanted), None), organisation, period)
        kept = f"organisation={organisation.pk}&from={period.first:%Y-%m}&until={period.last:%Y-%m}"
        context = {
            "organisation": organisation,
            "organisations": self.organisations,
            "period": period,
            "refusal": refusal,
            "empty": not any(table.rows for table in tables if table.key == "volumes"),
            "parts": [
                {
                    "table": table,
                    "rows": [[_shown(row[column.key]) for column in table.columns] for row in table.rows],
                    "picture": drawn(table),
                    "file": f"{reverse('insight')}?{kept}&csv={table.key}",
                }
                for table in tables
            ],
            "width": WIDTH,
            "is_dermatologist": services_of_dermatologist(self.user).exists(),
            "is_administrator": organisations_of_administrator(self.user).exists(),
        }
        return render(request, "insight/page.html", context, status=status)

    def _organisation(self, wanted: str) -> Organisation:
        if not wanted:
            return self.organisations[0]
        try:
            pk = UUID(wanted)
        except ValueError as error:
            raise Http404 from error
        for organisation in self.organisations:
            if organisation.pk == pk:
                return organisation
        raise Http404


def _shown(cell: Cell) -> str:
    """A cell in words."""
    match cell:
        case Share():
            return _("%(value)s (%(low)s to %(high)s), n %(of)d") % {
                "value": f"{cell.value:.2f}",
                "low": f"{cell.low:.2f}",
                "high": f"{cell.high:.2f}",
                "of": cell.of,
            }
        case Hidden.SMALL:
            return _("hidden (fewer than %(number)d, or beside such)") % {"number": FEWEST}
        case Hidden.UNMEASURED:
            return _("unmeasured")
        case None:
            return "–"
        case _:
            return str(cell)


def _file(table: Table | None, organisation: Organisation, period: Period) -> HttpResponse:
    """A table as CSV: a share in four columns, hidden cells by name."""
    if table is None:
        raise Http404
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"{table.key}-{period.first:%Y-%m}-{period.last:%Y-%m}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    shares = {column.key for column in table.columns if any(isinstance(row[column.key], Share) for row in table.rows)}
    writer = csv.writer(response, lineterminator="\n")
    writer.writerow(
        [
            name
            for column in table.columns
            for name in (
                [column.key, *(f"{column.key}_{part}" for part in ("low", "high", "n"))]
                if column.key in shares
                else [column.key]
            )
        ]
    )
    for row in table.rows:
        writer.writerow([part for column in table.columns for part in _parts(row[column.key], column.key in shares)])
    return response


def _parts(cell: Cell, of_share: bool) -> Iterator[object]:
    if isinstance(cell, Share):
        yield from (round(cell.value, 4), round(cell.low, 4), round(cell.high, 4), cell.of)
        return
    # A spreadsheet takes what begins with one of these for a formula.
    text = cell.value if isinstance(cell, Hidden) else "" if cell is None else cell
    yield f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@")) else text
    if of_share:
        yield from ("", "", "")
