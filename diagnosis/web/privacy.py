"""/privacy/: an organisation's administrator asks who saw a patient. Ids only, no patient data."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.generic import View

from diagnosis.models import Patient
from diagnosis.models.patients import organisations_of_administrator
from diagnosis.services.accesses import accesses_to, in_words, reason_of
from skincare.accounts.models import User

ROWS: Final = 50


class PrivacyPage(AccessMixin, View):
    """Shown to administrators of at least one organisation, and kept by no cache."""

    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        if not organisations_of_administrator(request.user).exists():
            raise PermissionDenied("this is for administrators; you are not one in any organisation")
        self.user = request.user
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response


class WantedPatient(forms.Form):
    """A patient by id or by record number."""

    patient = forms.CharField(max_length=100, strip=True, label=gettext_lazy("Record number or id of the patient"))


class LookUpPage(PrivacyPage):
    """Asks for the patient. The record number travels in the body, because addresses end up in logs."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask."""
        return render(request, "privacy/look_up.html", {"form": WantedPatient()})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Lead to the patient's page, or say that there is none."""
        form = WantedPatient(request.POST)
        if form.is_valid():
            found = self._find(form.cleaned_data["patient"])
            if len(found) == 1:
                return HttpResponseRedirect(reverse("privacy-patient", kwargs={"pk": found[0]}), status=303)
            if found:
                form.add_error(
                    "patient",
                    gettext_lazy("Several of your organisations have this record number; choose the id: %(ids)s")
                    % {"ids": ", ".join(map(str, found))},
                )
            else:
                form.add_error("patient", gettext_lazy("Your organisations have no such patient."))
        return render(request, "privacy/look_up.html", {"form": form}, status=422)

    def _find(self, wanted: str) -> list[UUID]:
        patients = Patient.objects.for_administrator(self.user)
        try:
            chosen = patients.filter(pk=UUID(wanted))
        except ValueError:
            chosen = patients.with_record_number(wanted, organisations_of_administrator(self.user))
        return list(chosen.values_list("pk", flat=True))


class AccessesPage(PrivacyPage):
    """Everything that was recorded about one patient, the newest first."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show one page of it."""
        patient = get_object_or_404(Patient.objects.for_administrator(self.user), pk=pk)
        before = request.GET.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) <= 18):
            raise Http404
        events = accesses_to(user=self.user, patient=patient).order_by("-id")
        if before:
            events = events.filter(pk__lt=int(before))
        shown = list(events[: ROWS + 1])
        rows = [{"event": event, "action": in_words(event), "reason": reason_of(event)} for event in shown[:ROWS]]
        older = shown[ROWS - 1].pk if len(shown) > ROWS else None
        return render(
            request,
            "privacy/accesses.html",
            {"patient": patient, "rows": rows, "older": older, "before": before},
        )
