"""/privacy/patients/{id}/export/ and …/erase/: an administrator answers a patient's request, after a fresh proof."""

import tempfile
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models import ErasureReason, Patient
from diagnosis.models.sealed import PatientErased
from diagnosis.services.erasure import erase_on_request
from diagnosis.services.errors import Refusal
from diagnosis.services.export import export_patient
from diagnosis.web.privacy import PrivacyPage
from skincare.accounts.recently import demand_recent

#: An archive of up to so many bytes is made in memory, a larger one on disk.
IN_MEMORY_BYTES = 8 * 2**20


class RightsPage(PrivacyPage):
    """A page about one patient that needs a fresh proof, also to be looked at: so nothing typed is lost to it."""

    def patient_or_404(self, pk: UUID) -> Patient:
        """One of an organisation that the user administers."""
        found = get_object_or_404(Patient.objects.for_administrator(self.user).select_related("organisation"), pk=pk)
        demand_recent(self.request)
        return found


class ExportPage(RightsPage):
    """The whole record as an archive, for the patient."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Say what is in it."""
        return render(request, "privacy/export.html", {"patient": self.patient_or_404(pk)})

    def post(self, request: HttpRequest, pk: UUID) -> FileResponse | HttpResponse:
        """Hand it out; that is recorded."""
        patient = self.patient_or_404(pk)
        archive = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 (the response closes it)
        try:
            export_patient(patient_id=patient.pk, output=archive, user=self.user)
        except PatientErased:
            archive.close()
            return render(request, "privacy/export.html", {"patient": patient}, status=410)
        except BaseException:
            archive.close()
            raise
        archive.seek(0)
        return FileResponse(archive, as_attachment=True, filename="patient-record.zip", content_type="application/zip")


class ErasureForm(forms.Form):
    """Whom, said a second time, and why."""

    record_number = forms.CharField(
        max_length=100,
        label=_("Record number of the patient"),
        error_messages={"required": _("Enter the record number, so that a wrong address erases nobody.")},
    )
    reason = forms.ChoiceField(
        choices=[
            (ErasureReason.PATIENT_REQUEST, _("The patient asked for it")),
            (ErasureReason.MISTAKE, _("Recorded by mistake")),
        ],
        label=_("Reason"),
        error_messages={"required": _("Choose one.")},
    )


class ErasePage(RightsPage):
    """Erasing a patient for good."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Say what is destroyed and what stays."""
        return render(request, "privacy/erase.html", {"patient": self.patient_or_404(pk), "form": ErasureForm()})

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Erase, where the record number is the patient's."""
        patient = self.patient_or_404(pk)
        form = ErasureForm(request.POST)
        if form.is_valid():
            try:
                erase_on_request(
                    user=self.user,
                    patient=patient,
                    reason=ErasureReason(form.cleaned_data["reason"]),
                    record_number=form.cleaned_data["record_number"],
                )
            except Refusal:
                form.add_error("record_number", gettext("This is not the patient's record number. Nothing was erased."))
            else:
                messages.success(request, gettext("The patient was erased."))
                return HttpResponseRedirect(reverse("privacy-patient", kwargs={"pk": pk}), status=303)
        return render(request, "privacy/erase.html", {"patient": patient, "form": form}, status=422)
