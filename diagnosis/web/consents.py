"""/consents/: what a patient allows now and by which event, the history, and the forms that grant and withdraw."""

from typing import Any
from uuid import UUID, uuid4, uuid5

from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from diagnosis.models import ConsentChange, ConsentPolicy, ConsentScope, EvidenceMethod, Patient
from diagnosis.models.patients import organisations_of_clinician
from diagnosis.models.sealed import PatientErased
from diagnosis.services.consents import ConsentStatement, consent_in_force, record_consent, record_consents
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.web.languages import SPOKEN, spoken
from skincare.accounts.models import User
from skincare.audit.record import record_reads

#: Short words for what a clinician chooses; ``ConsentScope`` has the patient's.
SCOPES = {
    ConsentScope.ANALYSIS: _("Analysis by the network"),
    ConsentScope.TELEDERMATOLOGY: _("Teledermatology"),
    ConsentScope.RESEARCH: _("Research and training"),
}
CHANGES = {
    ConsentChange.GRANTED: _("agreed"),
    ConsentChange.WITHDRAWN: _("withdrawn"),
    ConsentChange.EXPIRED: _("ended"),
}
METHODS = {
    EvidenceMethod.SIGNATURE: _("Signature on screen"),
    EvidenceMethod.PAPER: _("Signed on paper"),
    EvidenceMethod.SPOKEN: _("Spoken, with a witness"),
    EvidenceMethod.CLOCK: _("Its time was over"),
}
#: What stops when it is withdrawn.
EFFECTS = {
    ConsentScope.ANALYSIS: _("What waits to be read by the network is not read. Answers that are there stay."),
    ConsentScope.TELEDERMATOLOGY: _("Referrals end, and the dermatology service sees nothing of the patient any more."),
    ConsentScope.RESEARCH: _("The photographs are left out of training and of trials from now on."),
}


#: What a clinician can do about a refusal, in their language; the service's sentence where there is none.
PROBLEMS = {
    "witness_missing": _("Enter the witness's name."),
    "signature_missing": _("The signature is missing."),
    "signature_blank": _("The signature is missing."),
}


class ConsentPage(AccessMixin, View):
    """Shown to clinicians, and kept by no cache."""

    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.user = request.user
        if not organisations_of_clinician(self.user).exists():
            raise PermissionDenied("this is for clinicians; you are not one in any organisation")
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response

    def patient_or_404(self, pk: UUID) -> Patient:
        """One whom the user sees and who was not erased."""
        patients = Patient.objects.for_user(self.user).filter(data_key_row__isnull=False)
        return get_object_or_404(patients.select_related("data_key_row", "organisation"), pk=pk)


class WantedPatient(forms.Form):
    """By record number, or by name and birth date."""

    record_number = forms.CharField(max_length=100, required=False, label=_("Record number"))
    name = forms.CharField(max_length=200, required=False, label=_("Name"))
    birth_date = forms.DateField(required=False, label=_("Birth date"))

    def clean(self) -> dict[str, Any]:
        """Take one way of looking, whole."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("record_number") and not (cleaned.get("name") and cleaned.get("birth_date")):
            raise forms.ValidationError(gettext("Enter the record number, or the name and the birth date."))
        return cleaned


class GrantForm(forms.Form):
    """What the patient agrees to, to which text, and how it was said."""

    #: Made with the page: a second tap on the button records nothing more.
    form = forms.UUIDField()
    policy = forms.ModelChoiceField(ConsentPolicy.objects.all(), error_messages={"required": _("Choose the text.")})
    scopes = forms.MultipleChoiceField(
        choices=ConsentScope.choices, error_messages={"required": _("Choose what the patient agrees to.")}
    )
    method = forms.ChoiceField(
        choices=[
            (method, method) for method in (EvidenceMethod.SIGNATURE, EvidenceMethod.SPOKEN, EvidenceMethod.PAPER)
        ],
        error_messages={"required": _("Choose how the patient said so.")},
    )
    language = forms.ChoiceField(choices=[(code, code) for code in SPOKEN])
    witness = forms.CharField(max_length=200, required=False)
    signature = forms.CharField(required=False)


def _current_texts() -> list[ConsentPolicy]:
    """The newest text of each language, the page's own first, else English."""
    newest = ConsentPolicy.objects.order_by("language", "-published_at").distinct("language")
    own = (get_language() or "en").partition("-")[0]
    return sorted(newest, key=lambda text: (text.language != own, text.language != "en", text.language))


class LookUpPage(ConsentPage):
    """Asks for the patient. What is looked for travels in the body, because addresses end up in logs."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask."""
        return render(request, "consents/look_up.html", {"form": WantedPatient()})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Lead to the patient, let choose among several, or say that there is none."""
        form = WantedPatient(request.POST)
        found: list[Patient] = []
        if form.is_valid():
            patients = Patient.objects.for_user(self.user).select_related("data_key_row", "organisation")
            clinics, said = organisations_of_clinician(self.user), form.cleaned_data
            if said["record_number"]:
                found = list(patients.with_record_number(said["record_number"], clinics))
            else:
                found = list(patients.with_name(said["name"], said["birth_date"], clinics))
            if len(found) == 1:
                return HttpResponseRedirect(reverse("consents-of", kwargs={"pk": found[0].pk}), status=303)
            if found:
                record_reads(self.user, [(patient.organisation_id, patient.pk) for patient in found])
            else:
                form.add_error(None, gettext("Your clinics have no such patient."))
        status = 200 if found else 422
        return render(request, "consents/look_up.html", {"form": form, "found": found}, status=status)


class PatientConsentsPage(ConsentPage):
    """One patient's consents."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show them."""
        return self._page(request, self.patient_or_404(pk))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Record what the patient agrees to now, or withdraws: the one is as easy as the other."""
        patient = self.patient_or_404(pk)
        if request.POST.get("change") == ConsentChange.GRANTED:
            return self._grant(request, patient)
        return self._withdraw(request, patient)

    def _grant(self, request: HttpRequest, patient: Patient) -> HttpResponse:
        form = GrantForm(request.POST)
        if not form.is_valid():
            problem = next(error for errors in form.errors.values() for error in errors)
            return self._page(request, patient, str(problem), form)
        said = form.cleaned_data
        statements = [
            ConsentStatement(
                policy=said["policy"],
                scope=ConsentScope(scope),
                change=ConsentChange.GRANTED,
                captured_at=timezone.now(),
                method=EvidenceMethod(said["method"]),
                witness=said["witness"],
                signature=said["signature"] if said["method"] == EvidenceMethod.SIGNATURE else "",
                language=said["language"],
                id=uuid5(said["form"], scope),
            )
            for scope in said["scopes"]
        ]
        try:
            record_consents(user=self.user, patient=patient, statements=statements)
        except PatientErased:
            return HttpResponseRedirect(reverse("consents"), status=303)
        except (Refusal, Conflict) as refusal:
            return self._page(request, patient, str(PROBLEMS.get(refusal.code, refusal.detail)), form)
        messages.success(request, gettext("The consent is recorded and in force."))
        return HttpResponseRedirect(reverse("consents-of", kwargs={"pk": patient.pk}), status=303)

    def _withdraw(self, request: HttpRequest, patient: Patient) -> HttpResponse:
        scope, method = request.POST.get("scope", ""), request.POST.get("method", "")
        granted = consent_in_force(patient, ConsentScope(scope)) if scope in ConsentScope.values else None
        if granted is None:
            return self._page(request, patient, gettext("This consent is not in force: there is nothing to withdraw."))
        if method not in (EvidenceMethod.PAPER, EvidenceMethod.SPOKEN):
            return self._page(request, patient, gettext("Choose how the patient said so."))
        statement = ConsentStatement(
            policy=granted.policy,
            scope=ConsentScope(scope),
            change=ConsentChange.WITHDRAWN,
            captured_at=timezone.now(),
            method=EvidenceMethod(method),
            witness=request.POST.get("witness", "")[:200],
            language=granted.language,
        )
        try:
            record_consent(user=self.user, patient=patient, statement=statement)
        except PatientErased:
            return HttpResponseRedirect(reverse("consents"), status=303)
        except Refusal as refusal:
            return self._page(request, patient, str(PROBLEMS.get(refusal.code, refusal.detail)))
        messages.success(request, gettext("The withdrawal is recorded and in effect."))
        return HttpResponseRedirect(reverse("consents-of", kwargs={"pk": patient.pk}), status=303)

    def _page(
        self, request: HttpRequest, patient: Patient, problem: str = "", form: "GrantForm | None" = None
    ) -> HttpResponse:
        record_reads(self.user, [(patient.organisation_id, patient.pk)])
        history = list(
            patient.consent_events.select_related("policy", "recorded_by").order_by("-recorded_at", "-effective_at")
        )
        for event in history:
            event.patient = patient  # with the data key that is already unwrapped
        scopes = [
            {"scope": scope, "name": SCOPES[scope], "effect": EFFECTS[scope], "grant": consent_in_force(patient, scope)}
            for scope in ConsentScope
        ]
        rows = [
            {
                "event": event,
                "scope": SCOPES[ConsentScope(event.scope)],
                "change": CHANGES[ConsentChange(event.change)],
                "method": METHODS[EvidenceMethod(event.method)],
            }
            for event in history
        ]
        context = {
            "patient": patient,
            "scopes": scopes,
            "rows": rows,
            "problem": problem,
            "asked": request.POST.get("scope", "") if problem else "",
            "lacking": [each for each in scopes if each["grant"] is None],
            "said": request.POST if form else {},
            "chosen": request.POST.getlist("scopes") if form else [],
            "texts": _current_texts(),
            "spoken": spoken(),
            "new_form": uuid4(),
        }
        return render(request, "consents/patient.html", context, status=422 if problem else 200)
