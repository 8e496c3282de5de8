"""/patients/{id}/correct/: a clinician corrects who a patient is; what stood there before is listed below."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models import CorrectionReason, FitzpatrickSkinType, Patient, PatientCorrection, Sex
from diagnosis.models.sealed import PatientErased
from diagnosis.services.corrections import Corrected, correct_patient
from diagnosis.services.errors import Refusal
from diagnosis.web.consents import ConsentPage
from skincare.audit.record import record_reads

_NOT_SAID: Final = ("", _("Not recorded"))


class CorrectionForm(forms.Form):
    """The patient as they should be recorded, and why. What is impossible is said by the service."""

    record_number = forms.CharField(
        max_length=100, label=_("Record number"), error_messages={"required": _("Enter a record number.")}
    )
    name = forms.CharField(max_length=200, required=False, label=_("Name"))
    birth_date = forms.DateField(required=False, label=_("Birth date"))
    sex = forms.ChoiceField(choices=[_NOT_SAID, *Sex.choices], required=False, label=_("Sex"))
    fitzpatrick_skin_type = forms.ChoiceField(
        choices=[_NOT_SAID, *FitzpatrickSkinType.choices], required=False, label=_("Skin type (Fitzpatrick)")
    )
    reason = forms.ChoiceField(
        choices=CorrectionReason.choices, label=_("Reason"), error_messages={"required": _("Choose one.")}
    )


#: In what order they are shown, and the names of the fields.
FIELDS: Final = ("record_number", "name", "birth_date", "sex", "fitzpatrick_skin_type")


class CorrectPage(ConsentPage):
    """Shown to clinicians of the patient's clinic."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show what is recorded, to be corrected."""
        patient = self.patient_or_404(pk)
        return self._page(request, patient, CorrectionForm(initial={name: getattr(patient, name) for name in FIELDS}))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Correct it, or say what stands against it."""
        patient = self.patient_or_404(pk)
        form = CorrectionForm(request.POST)
        if form.is_valid():
            said = form.cleaned_data
            born = said["birth_date"]
            right = Corrected(
                **{name: said[name] for name in FIELDS if name != "birth_date"},
                birth_date=born.isoformat() if born else "",
            )
            try:
                correct_patient(user=self.user, patient=patient, reason=CorrectionReason(said["reason"]), right=right)
            except PatientErased:
                return HttpResponseRedirect(reverse("consents"), status=303)
            except Refusal as refusal:
                form.add_error(refusal.field or None, _in_words(refusal))
            else:
                messages.success(request, gettext("The patient’s data are corrected."))
                return HttpResponseRedirect(reverse("consents-of", kwargs={"pk": pk}), status=303)
        return self._page(request, patient, form, status=422)

    def _page(self, request: HttpRequest, patient: Patient, form: CorrectionForm, status: int = 200) -> HttpResponse:
        record_reads(self.user, [(patient.organisation_id, patient.pk)])
        rows = [(correction, _in_order(correction.before, form)) for correction in PatientCorrection.of(patient)]
        context: dict[str, Any] = {"patient": patient, "form": form, "rows": rows}
        return render(request, "consents/correct.html", context, status=status)


def _in_order(before: dict[str, str], form: CorrectionForm) -> list[tuple[str, str]]:
    """What stood there, as a person reads it."""
    sexes = dict(Sex.choices)
    return [
        (str(form.fields[name].label), str(sexes.get(before[name], before[name]))) for name in FIELDS if name in before
    ]


def _in_words(refusal: Refusal) -> str:
    """What the person can do about it, in their language; the API's sentence where there is none."""
    said = {
        "nothing_to_correct": gettext("All of this is recorded already. Nothing was changed."),
        "record_number_taken": gettext("Another patient of this clinic has this record number. Nothing was changed."),
        "in_the_future": gettext("This day is yet to come."),
        "impossible_age": gettext("Nobody who lives today was born then."),
    }
    return said.get(refusal.code, refusal.detail)
