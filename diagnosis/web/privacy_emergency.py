"""/privacy/emergency/: who opened whose record in an emergency and why; whether and to whom that is allowed."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models import EmergencyAccess, EmergencyPolicy, Notification
from diagnosis.models.emergency import LONGEST_MINUTES, SHORTEST_MINUTES
from diagnosis.models.patients import organisations_of_administrator
from diagnosis.services import emergency, notifications
from diagnosis.web.privacy import PrivacyPage
from skincare.accounts.models import Organisation
from skincare.accounts.recently import demand_recent
from skincare.audit.record import record_reads

ROWS: Final = 100


class EmergencyListPage(PrivacyPage):
    """Every emergency access to patients of the organisations that the user administers, the newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them; from now on they count as seen."""
        accesses = list(
            EmergencyAccess.objects.for_administrator(self.user)
            .select_related("organisation", "opened_by", "ended_by", "patient__data_key_row")
            .order_by("-opened_at", "id")[:ROWS]
        )
        # What happened to a patient, in somebody's words, is read here as well.
        told = [access for access in accesses if not access.patient.erased]
        record_reads(self.user, [(access.organisation_id, access.patient_id) for access in told])
        new = set(
            Notification.objects.filter(user=self.user, emergency__isnull=False, seen_at__isnull=True).values_list(
                "emergency_id", flat=True
            )
        )
        rows = [
            {
                "access": access,
                "explanation": access.explanation if access.sealed_explanation and not access.patient.erased else "",
                "new": access.pk in new,
            }
            for access in accesses
        ]
        notifications.mark_emergencies_seen(user=self.user)
        places = organisations_of_administrator(self.user).select_related("emergency_policy").order_by("name")
        return render(request, "privacy/emergency.html", {"rows": rows, "places": places})


class EndEmergencyPage(PrivacyPage):
    """The button by which an administrator ends somebody's access."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """End it."""
        found = get_object_or_404(EmergencyAccess.objects.for_administrator(self.user), pk=pk)
        emergency.end_access(user=self.user, access=found)
        return HttpResponseRedirect(reverse("privacy-emergency"), status=303)


class PolicyForm(forms.Form):
    """Whether, for how long, and to whom."""

    enabled = forms.BooleanField(required=False)
    minutes = forms.IntegerField(min_value=SHORTEST_MINUTES, max_value=LONGEST_MINUTES, label=_("Minutes"))
    open_to = forms.ModelMultipleChoiceField(Organisation.objects.none(), required=False)

    def __init__(self, *args: Any, others: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["open_to"].queryset = others  # type: ignore[attr-defined]


class EmergencyPolicyPage(PrivacyPage):
    """One organisation's policy; changed only with a fresh proof of who one is."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        return self._page(request, pk)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Change it."""
        organisation = get_object_or_404(organisations_of_administrator(self.user), pk=pk)
        demand_recent(request)
        form = PolicyForm(request.POST, others=Organisation.objects.exclude(pk=pk))
        if not form.is_valid():
            return self._page(request, pk, form)
        emergency.set_policy(
            user=self.user,
            organisation=organisation,
            enabled=form.cleaned_data["enabled"],
            minutes=form.cleaned_data["minutes"],
            open_to=list(form.cleaned_data["open_to"]),
        )
        messages.success(request, gettext("What is allowed in emergencies has been saved."))
        return HttpResponseRedirect(reverse("privacy-emergency-policy", kwargs={"pk": pk}), status=303)

    def _page(self, request: HttpRequest, pk: UUID, form: PolicyForm | None = None) -> HttpResponse:
        organisation = get_object_or_404(organisations_of_administrator(self.user), pk=pk)
        policy = EmergencyPolicy.objects.filter(pk=pk).first()
        if form is not None:  # what was typed stays
            enabled, minutes = bool(form["enabled"].value()), form["minutes"].value()
            chosen = set(form["open_to"].value() or ())
        else:
            enabled, minutes = bool(policy and policy.enabled), policy.minutes if policy else 60
            chosen = {str(each) for each in policy.open_to.values_list("pk", flat=True)} if policy else set()
        context = {
            "organisation": organisation,
            "enabled": enabled,
            "minutes": minutes,
            "chosen": chosen,
            "others": Organisation.objects.exclude(pk=pk).order_by("name"),
            "shortest": SHORTEST_MINUTES,
            "longest": LONGEST_MINUTES,
            "form": form,
        }
        return render(request, "privacy/emergency_policy.html", context, status=422 if form else 200)
