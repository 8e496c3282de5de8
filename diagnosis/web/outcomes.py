"""/outcomes/: what is awaited of which lesion, a form for each, and a CSV file with a dry run first."""

import io
from dataclasses import replace
from datetime import date
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from diagnosis.models import Lesion, Outcome, OutcomeKind, Referral
from diagnosis.models.diagnosis_names import name_of
from diagnosis.models.patients import organisations_of_clinician
from diagnosis.models.sealed import PatientErased
from diagnosis.services import outcomes
from diagnosis.services.assessments import current_assessment
from diagnosis.services.errors import Refusal
from diagnosis.web.desk import DeskPage
from diagnosis.web.refusals import in_words
from diagnosis.web.worklist import reading
from skincare.audit.record import record_reads

#: A larger file goes through the API or the command line: the page hands the text back for the second step.
MOST_ON_PAGE_BYTES: Final = 500_000
LINES_SHOWN: Final = 200


class OutcomesPage(DeskPage):
    """What is awaited, the earliest due first."""

    roles = frozenset({"clinician"})
    template = "desk/outcomes.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        rows = outcomes.awaited(self.user)
        recent = list(
            Outcome.objects.filter(lesion__in=Lesion.objects.for_user(self.user))
            .select_related("lesion__patient__data_key_row")
            .order_by("-recorded_at")[:10]
        )
        patients = [row.case.patient for row in rows] + [row.lesion.patient for row in recent]
        record_reads(self.user, [(patient.organisation_id, patient.pk) for patient in patients])
        return self.page(
            request,
            {
                "awaited": [
                    {
                        "referral": row,
                        "case": row.case,
                        "overdue": outcomes.is_overdue(row),
                        "address": reverse("outcome-of-lesion", args=[row.case.lesion_id]),
                    }
                    for row in rows
                ],
                "recent": [
                    {
                        "outcome": row,
                        "name": name_of(row.diagnosis),
                        "address": reverse("outcome-of-lesion", args=[row.lesion_id]),
                    }
                    for row in recent
                ],
            },
        )


class LesionOutcomePage(DeskPage):
    """The outcomes of one lesion, and a form for another."""

    roles = frozenset({"clinician"})
    template = "desk/outcome.html"

    def get(self, request: HttpRequest, pk: UUID, refusal: Refusal | None = None) -> HttpResponse:
        """Show them."""
        lesion = get_object_or_404(Lesion.objects.for_user(self.user).select_related("patient__data_key_row"), pk=pk)
        record_reads(self.user, [(lesion.patient.organisation_id, lesion.patient_id)])
        rows = list(Outcome.objects.filter(lesion=lesion).select_related("corrected_by", "recorded_by"))
        for row in rows:
            row.lesion = lesion
        counts = outcomes.current_outcome(lesion)
        referral = (
            Referral.objects.for_clinician(self.user)
            .filter(case__lesion=lesion, answered_at__isnull=False)
            .order_by("-answered_at")
            .first()
        )
        signed = current_assessment(referral) if referral is not None else None
        return self.page(
            request,
            {
                "lesion": lesion,
                "erased": lesion.patient.erased,
                "outcomes": [
                    {
                        "row": row,
                        "pk": str(row.pk),
                        "name": name_of(row.diagnosis),
                        "counts": counts is not None and row.pk == counts.pk,
                        "corrected": hasattr(row, "corrected_by"),
                        "note": "" if lesion.patient.erased else row.note,
                    }
                    for row in rows
                ],
                "answer": name_of(signed.diagnosis) if signed else "",
                "plan": signed.get_plan_display() if signed else "",
                "until_histology": (
                    referral is not None
                    and referral.outcome_due_at is not None
                    and signed is not None
                    and signed.plan in outcomes.UNTIL_HISTOLOGY
                ),
                "kinds": OutcomeKind.choices,
                "quick": [(code, name_of(code)) for code in reading.QUICK],
                "groups": reading.choices_of_diagnosis(),
                "today": timezone.now().date().isoformat(),
            },
            refusal,
        )

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Record one."""
        try:
            outcomes.record_outcome(user=self.user, new=self._new(request, pk))
        except PatientErased as erased:
            return self.get(request, pk, Refusal("patient_erased", str(erased)))
        except Refusal as refusal:
            if refusal.code == "not_found":
                get_object_or_404(Lesion.objects.for_user(self.user), pk=pk)
            return self.get(request, pk, refusal)
        return HttpResponseRedirect(reverse("outcome-of-lesion", args=[pk]), status=303)

    def _new(self, request: HttpRequest, pk: UUID) -> outcomes.NewOutcome:
        if not request.POST.get("diagnosis"):
            raise Refusal("diagnosis_missing", _("choose a diagnosis"), field="diagnosis")
        try:
            day = date.fromisoformat(request.POST.get("determined_on", ""))
        except ValueError as error:
            raise Refusal("day_missing", _("say on which day it was determined"), field="determined_on") from error
        corrects = request.POST.get("corrects", "")
        try:
            wrong = UUID(corrects) if corrects else None
        except ValueError as error:
            raise Refusal("not_to_be_corrected", f"{corrects!r} is no outcome", field="corrects") from error
        return outcomes.NewOutcome(
            lesion=pk,
            kind=request.POST.get("kind", ""),
            diagnosis=request.POST["diagnosis"],
            determined_on=day,
            note=request.POST.get("note", "").replace("\r\n", "\n"),
            corrects=wrong,
        )


class ImportPage(DeskPage):
    """A file of outcomes: first what it would do, then, when told, for good."""

    roles = frozenset({"clinician"})
    template = "desk/outcome_import.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask for the file."""
        return self.page(request, self._context())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Say what it would do; or do it."""
        apply = "apply" in request.POST
        try:
            wanted = request.POST.get("organisation", "")
            clinics = organisations_of_clinician(self.user)
            organisation = next((clinic for clinic in clinics if str(clinic.pk) == wanted), None)
            if organisation is None:
                raise Refusal("not_found", _("choose one of your clinics"), field="organisation")
            text = request.POST.get("content", "") if apply else self._upload(request)
            done = outcomes.import_outcomes(
                file=io.StringIO(text, newline=""), organisation=organisation, user=self.user, dry_run=not apply
            )
        except Refusal as refusal:
            return self.page(request, self._context(), refusal)
        refused = done.number("refused")
        # The refused stand first: they are what somebody has to act on.
        lines = sorted(done.lines, key=lambda line: (line.does != "refused", line.number))
        return self.page(
            request,
            {
                **self._context(),
                "done": done,
                "lines": [
                    line if line.refusal is None else replace(line, detail=in_words(line.refusal).detail)
                    for line in lines[:LINES_SHOWN]
                ],
                "more": max(0, len(lines) - LINES_SHOWN),
                "numbers": [
                    (does, done.number(does))
                    for does in ("recorded", "would be recorded", "known", "refused")
                    if done.number(does)
                ],
                "content": text if done.dry_run and not refused and done.number("would be recorded") else "",
                "organisation": organisation,
            },
        )

    def _upload(self, request: HttpRequest) -> str:
        upload = request.FILES.get("file")
        if upload is None:
            raise Refusal("file_missing", _("choose a file"), field="file")
        if (upload.size or 0) > MOST_ON_PAGE_BYTES:
            detail = _("more than %(size)d KB; use the API's outcomes/import/, or send it in parts") % {
                "size": MOST_ON_PAGE_BYTES // 1000
            }
            raise Refusal("too_long", detail, field="file")
        try:
            return str(upload.read(), "utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refusal("not_csv", _("the file is not text in UTF-8; save it as CSV UTF-8"), field="file") from error

    def _context(self) -> dict[str, object]:
        return {"clinics": list(organisations_of_clinician(self.user)), "columns": ", ".join(outcomes.COLUMNS)}
