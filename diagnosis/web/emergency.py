"""/emergency/: a clinician or dermatologist opens the record of a patient who is not theirs, by saying why."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from diagnosis.models import (
    AnatomicalSite,
    CaseImage,
    ConsentScope,
    EmergencyAccess,
    EmergencyPolicy,
    EmergencyReason,
    ImageKind,
    OutcomeKind,
    Plan,
    ReferralState,
    Sex,
    Suspicion,
)
from diagnosis.models.diagnosis_names import class_name
from diagnosis.models.sealed import PatientErased
from diagnosis.services import emergency
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.web.consents import SCOPES
from skincare.accounts.models import Role, User
from skincare.accounts.recently import demand_recent

SHOWN_BEFORE = 10


class EmergencyPage(AccessMixin, View):
    """Shown to clinicians and dermatologists, and kept by no cache."""

    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.user = request.user
        if not self.user.memberships.filter(role__in=[Role.CLINICIAN, Role.DERMATOLOGIST]).exists():
            raise PermissionDenied("this is for clinicians and dermatologists; you are not one in any organisation")
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response


class EmergencyForm(forms.Form):
    """Whose record, and why. What is missing is said by the service."""

    organisation = forms.ModelChoiceField(
        EmergencyPolicy.objects.none(), label=_("The patient's clinic"), error_messages={"required": _("Choose one.")}
    )
    record_number = forms.CharField(max_length=100, required=False, label=_("Record number"))
    name = forms.CharField(max_length=200, required=False, label=_("Name"))
    birth_date = forms.DateField(
        required=False, label=_("Birth date"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    reason = forms.ChoiceField(
        choices=EmergencyReason.choices, label=_("Reason"), error_messages={"required": _("Choose one.")}
    )
    explanation = forms.CharField(
        max_length=emergency.LONGEST_EXPLANATION, label=_("What happened"), error_messages={"required": _("Say why.")}
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policies = EmergencyPolicy.objects.open_to(user).select_related("organisation").order_by("organisation__name")
        self.fields["organisation"].queryset = policies  # type: ignore[attr-defined]


class OpenPage(EmergencyPage):
    """Asks whose record and why; lists what the user opened before."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask. A fresh proof is wanted now, so that nobody has typed a reason in vain."""
        demand_recent(request)
        return self._page(request, EmergencyForm(user=self.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Open it, or say what is missing."""
        demand_recent(request)
        form = EmergencyForm(request.POST, user=self.user)
        if form.is_valid():
            said = form.cleaned_data
            wanted = emergency.Wanted(
                organisation=said["organisation"].pk,
                record_number=said["record_number"].strip(),
                name=said["name"],
                birth_date=said["birth_date"],
            )
            try:
                opened = emergency.open_access(
                    user=self.user,
                    wanted=wanted,
                    reason=EmergencyReason(said["reason"]),
                    explanation=said["explanation"],
                )
            except Refusal as refusal:
                form.add_error(refusal.field or None, _in_words(refusal))
            except PatientErased:
                form.add_error(None, gettext("The patient was erased."))
            else:
                return HttpResponseRedirect(reverse("emergency-page", kwargs={"pk": opened.pk}), status=303)
        return self._page(request, form, status=422)

    def _page(self, request: HttpRequest, form: EmergencyForm, status: int = 200) -> HttpResponse:
        before = emergency.accesses_of(self.user)[:SHOWN_BEFORE]
        policies = form.fields["organisation"].queryset  # type: ignore[attr-defined]
        context = {"form": form, "before": before, "policies": policies}
        return render(request, "emergency/open.html", context, status=status)


class RecordPage(EmergencyPage):
    """The record, for as long as the access lasts."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it, or that it is over."""
        found = get_object_or_404(emergency.accesses_of(self.user), pk=pk)
        try:
            access, described = emergency.read_record(user=self.user, access_id=pk)
        except (Conflict, PatientErased):
            return render(request, "emergency/over.html", {"access": found}, status=410)
        for case in described["cases"]:
            case["site"] = AnatomicalSite(case["anatom_site_general"]).label
            case["suspicion"] = Suspicion(case["suspicion"]).label
            case["impression"] = class_name(case["impression"])
            for image in case["images"]:
                image["kind"] = ImageKind(image["kind"]).label
        for referral in described["referrals"]:
            referral["state"] = ReferralState(referral["state"]).label
            for assessment in referral["assessments"]:
                assessment["plan"] = Plan(assessment["plan"]).label
        for outcome in described["outcomes"]:
            outcome["kind"] = OutcomeKind(outcome["kind"]).label
        sex = described["patient"]["sex"]
        described["patient"]["sex"] = Sex(sex).label if sex else ""
        allowed = [str(SCOPES[ConsentScope(scope)]) for scope, yes in described["allowed_now"].items() if yes]
        return render(request, "emergency/record.html", {"access": access, "record": described, "allowed": allowed})


class EndPage(EmergencyPage):
    """The button that ends it."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """End it."""
        found = get_object_or_404(emergency.accesses_of(self.user), pk=pk)
        emergency.end_access(user=self.user, access=found)
        return HttpResponseRedirect(reverse("emergency-page", kwargs={"pk": pk}), status=303)


class PhotographPage(EmergencyPage):
    """A photograph of the record."""

    def get(self, request: HttpRequest, pk: UUID, image: UUID) -> HttpResponse:
        """Fetch it."""
        try:
            content = emergency.read_photograph(user=self.user, access_id=pk, image_id=image)
        except (EmergencyAccess.DoesNotExist, CaseImage.DoesNotExist, Conflict, PatientErased) as error:
            raise Http404 from error
        return HttpResponse(content, content_type="image/jpeg", headers={"Cross-Origin-Resource-Policy": "same-origin"})


def _in_words(refusal: Refusal) -> str:
    """What the person can do about it, in their language; the API's sentence where there is none."""
    said = {
        "no_such_patient": gettext("This clinic has no such patient. The attempt was recorded."),
        "several_found": gettext("Several patients have this name and birth date. Enter the record number."),
        "one_way_needed": gettext("Enter the record number, or the name and the birth date."),
        "already_visible": gettext("You see this patient without emergency access. Open the case as usual."),
        "too_many_attempts": gettext("Too many patients were not found within an hour. Telephone the clinic."),
        "explanation_length": gettext("Say in at least %(n)d characters what happened.")
        % {"n": emergency.SHORTEST_EXPLANATION},
    }
    return said.get(refusal.code, refusal.detail)
