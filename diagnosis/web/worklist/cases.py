"""The case reading page, and what is done there: each by one service, with its refusal shown in place."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from diagnosis.models import Case, DeclineReason, FirstRead, OpinionState, Plan, Referral
from diagnosis.models.assessments import Assessment
from diagnosis.models.diagnosis_names import name_of
from diagnosis.models.sealed import PatientErased
from diagnosis.services.accesses import ACTIONS
from diagnosis.services.assessments import NewAssessment, amend_assessment, current_assessment, sign_assessment
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.first_reads import (
    NewRead,
    asked_opinion,
    own_read,
    record_first_read,
    sees_other_reads,
    show_answer,
)
from diagnosis.services.referral_messages import ask_clinician, mark_seen, send_message
from diagnosis.services.referral_moves import history
from diagnosis.services.referral_states import Who, allowed, parts_of, person
from diagnosis.services.referrals import accept_referral, decline_referral, release_referral, take_over_referral
from diagnosis.services.second_opinions import (
    ask_opinion,
    colleagues,
    consensus_of,
    decline_opinion,
    other_services,
    withdraw_opinion,
)
from diagnosis.services.snippets import snippets_for
from diagnosis.services.worklist import key_of, page_before, worklist
from diagnosis.web.refusals import in_words
from diagnosis.web.worklist import reading
from diagnosis.web.worklist.base import ReaderPage, polled, proof_of
from diagnosis.web.worklist.lists import chosen_filters, query_of
from skincare.accounts.models import User
from skincare.audit.record import record_reads


class CasePage(ReaderPage):
    """One referral, to be read."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        return self.show(request, self.referral_or_404(pk))

    def show(
        self, request: HttpRequest, referral: Referral, refusal: Refusal | None = None, form: str = ""
    ) -> HttpResponse:
        """The page, with a refusal of what was sent and the form as it was."""
        case = referral.case
        record_reads(self.user, [(case.organisation_id, case.patient_id)])
        context = self._context(request, referral)
        said = None if refusal is None else in_words(refusal)
        context |= {"refusal": said, "refused_form": form, "posted": request.POST if refusal else QueryDict()}
        if form in ("sign", "amend"):
            context["draft"] = request.POST
        status = 200 if refusal is None else (409 if isinstance(refusal, Conflict) else 422)
        response = render(request, "worklist/case.html", context, status=status)
        if context["messages"] is not None:
            mark_seen(user=self.user, referral=referral)
        return response

    def _context(self, request: HttpRequest, referral: Referral) -> dict[str, object]:
        user, case, lesion = self.user, referral.case, referral.case.lesion
        parts = parts_of(user, referral)
        opinion = asked_opinion(user, referral)
        asked = opinion if opinion is not None and opinion.state == OpinionState.ASKED else None
        read = own_read(user, referral)
        if read is not None:
            read.referral = referral
        analysis = show_answer(user=user, referral=referral)
        network = reading.network_words(analysis) if analysis is not None else None
        may = set(allowed(referral, user))
        sees_assessments = _sees_assessments(user, referral, read)
        visits = list(
            Case.objects.referred_to(user)
            .filter(lesion=case.lesion_id)
            .prefetch_related("images")
            .order_by("-seen_at", "-pk")
        )
        this = next((visit for visit in visits if visit.pk == case.pk), None)
        if this is None:  # the consent ended a moment ago
            raise Http404
        return {
            "referral": referral,
            "case": case,
            "asked": asked,
            "read": read,
            "read_name": name_of(read.diagnosis) if read else "",
            "may_read": read is None and referral.open and (Who.CLAIMANT in parts or asked is not None),
            "blind": analysis is None,
            "network": network,
            "may": {action.value for action in may},
            "may_write": Who.DERMATOLOGIST in parts and (referral.open or referral.answered_at is not None),
            "may_ask_opinion": Who.CLAIMANT in parts and referral.open and read is not None,
            "photographs": reading.photographs_of(referral, this),
            "earlier": [
                photograph
                for visit in visits
                if visit.pk != case.pk
                for photograph in reading.photographs_of(referral, visit)
            ],
            "checklist": reading.checklist_of(case),
            "history": reading.history_of(case),
            "point": (str(round((lesion.body_map_x or 0) * 100)), str(round((lesion.body_map_y or 0) * 220)))
            if lesion.body_map_side
            else None,
            "groups": reading.choices_of_diagnosis(),
            "quick": [(code, name_of(code)) for code in reading.QUICK],
            "confidences": [str(number) for number in reading.CONFIDENCES],
            "plans": Plan.choices,
            "signer": person(user),
            "holder": person(referral.claimed_by),
            "snippets": snippets_for(user, referral.service_id),
            "decline_reasons": DeclineReason.choices,
            "messages": reading.messages_of(referral) if reading.messages_shown(user, referral) else None,
            "assessments": _assessments(referral) if sees_assessments else [],
            "draft": _draft((current_assessment(referral) if sees_assessments else None) or read),
            "reads": _reads(referral) if sees_other_reads(user, referral) else [],
            "consensus": consensus_of(referral) if sees_other_reads(user, referral) else None,
            "may_withdraw_opinion": Who.CLAIMANT in parts,
            "colleagues": [(str(each.pk), person(each)) for each in colleagues(user, referral)],
            "other_services": other_services(referral),
            "timeline": [(at, str(ACTIONS.get(action, action)), who) for at, action, who in history(referral)],
            "revision": str(referral.revision),
            **self._neighbours(request, referral),
        }

    def _neighbours(self, request: HttpRequest, referral: Referral) -> dict[str, str]:
        service = next((each for each in self.services if each.pk == referral.service_id), None)
        if service is None:
            return {"list_address": reverse("worklist"), "next": "", "previous": "", "query": ""}
        filters = chosen_filters(request)
        query = query_of(filters, service)
        key = key_of(referral, filters)
        after = worklist(user=self.user, service=service, filters=filters, after=key, size=1).referrals
        before = page_before(user=self.user, service=service, filters=filters, before=key, size=1).referrals
        return {
            "list_address": f"{reverse('worklist')}?{query}",
            "query": query,
            "next": f"{reverse('worklist-case', args=[after[0].pk])}?{query}" if after else "",
            "previous": f"{reverse('worklist-case', args=[before[0].pk])}?{query}" if before else "",
        }


class RevisionPage(ReaderPage):
    """Whether a referral has changed: its number of changes and nothing else, so that polling tells nothing."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Tell it, or that it is as it was."""
        return polled(request, str(self.referral_or_404(pk).revision))[0]


class ActionPage(CasePage):
    """POST worklist/<id>/<action>/: do it, and go back to the page."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, action: str) -> HttpResponse:
        """Do it."""
        referral = self.referral_or_404(pk)
        act = ACTS.get(action)
        if act is None:
            raise Http404
        try:
            act(self.user, request, referral)
        except Refusal as refusal:
            return self.show(request, self.referral_or_404(pk), refusal, action)
        except PatientErased as erased:
            raise Http404 from erased
        query = f"?{request.GET.urlencode()}" if request.GET else ""
        gone = not Referral.objects.for_reader(self.user).filter(pk=pk).exists()
        address = reverse("worklist") if gone else reverse("worklist-case", args=[pk])
        return HttpResponseRedirect(
            f"{address}{query}{'' if gone else AFTER.get(action, '')}", status=HTTPStatus.SEE_OTHER
        )


def _number(request: HttpRequest, field: str) -> int | None:
    text = request.POST.get(field, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise Refusal(
            "not_a_number",
            _("%(field)s: %(text)s is not a whole number") % {"field": field, "text": text},
            field=field,
        )
    return int(text)


def _confidence(request: HttpRequest) -> int:
    number = _number(request, "confidence")
    if number is None:
        raise Refusal("confidence_missing", _("say how confident you are"), field="confidence")
    return number


def _diagnosis(request: HttpRequest) -> str:
    code = request.POST.get("diagnosis", "")
    if not code:
        raise Refusal("diagnosis_missing", _("choose a diagnosis"), field="diagnosis")
    return code


def _text(request: HttpRequest, field: str = "text") -> str:
    return request.POST.get(field, "").replace("\r\n", "\n")


def _images(request: HttpRequest) -> list[bytes]:
    return [upload.read() for upload in request.FILES.getlist("images")]


def _read(user: User, request: HttpRequest, referral: Referral) -> None:
    new = NewRead(_diagnosis(request), _confidence(request), _text(request, "comment"))
    record_first_read(user=user, referral_id=referral.pk, new=new)


def _assessment(request: HttpRequest) -> NewAssessment:
    plan = request.POST.get("plan", "")
    if not plan:
        raise Refusal("plan_missing", _("choose what is to be done"), field="plan")
    months = _number(request, "months") if plan == Plan.OBSERVE else None
    return NewAssessment(_diagnosis(request), _confidence(request), plan, months, _text(request))


def _sign(user: User, request: HttpRequest, referral: Referral) -> None:
    sign_assessment(user=user, referral_id=referral.pk, new=_assessment(request), proof=proof_of(request))


def _amend(user: User, request: HttpRequest, referral: Referral) -> None:
    amend_assessment(user=user, referral_id=referral.pk, new=_assessment(request), proof=proof_of(request))


def _decline(user: User, request: HttpRequest, referral: Referral) -> None:
    reason = request.POST.get("reason", "")
    if reason not in DeclineReason.values:
        raise Refusal("reason_missing", _("choose why you decline"), field="reason")
    decline_referral(
        user=user, referral_id=referral.pk, reason=DeclineReason(reason), explanation=_text(request, "explanation")
    )


def _ask_opinion(user: User, request: HttpRequest, referral: Referral) -> None:
    kind, _colon, text = request.POST.get("of", "").partition(":")
    try:
        pk = UUID(text)
    except ValueError as error:
        raise Refusal("reader_missing", _("choose whom to ask"), field="of") from error
    reader = pk if kind == "reader" else None
    service = referral.service_id if reader else pk
    ask_opinion(user=user, referral_id=referral.pk, service=service, reader=reader, question=_text(request, "question"))


def _end_opinion(user: User, request: HttpRequest, referral: Referral) -> None:
    asked = referral.opinions.filter(state=OpinionState.ASKED).first()
    if asked is None:
        raise Conflict("opinion_over", _("no opinion is awaited any more"))
    end = withdraw_opinion if Who.CLAIMANT in parts_of(user, referral) else decline_opinion
    end(user=user, opinion_id=asked.pk)


Act = Callable[[User, HttpRequest, Referral], object]
ACTS: Final[dict[str, Act]] = {
    "accept": lambda user, request, referral: accept_referral(user=user, referral_id=referral.pk),
    "take-over": lambda user, request, referral: take_over_referral(user=user, referral_id=referral.pk),
    "release": lambda user, request, referral: release_referral(user=user, referral_id=referral.pk),
    "decline": _decline,
    "read": _read,
    "sign": _sign,
    "amend": _amend,
    "ask": lambda user, request, referral: ask_clinician(
        user=user, referral_id=referral.pk, text=_text(request), images=_images(request)
    ),
    "message": lambda user, request, referral: send_message(
        user=user, referral_id=referral.pk, text=_text(request), images=_images(request)
    ),
    "ask-opinion": _ask_opinion,
    "end-opinion": _end_opinion,
}
#: Where on the page one goes on.
AFTER: Final = {"read": "#answer", "ask": "#messages", "message": "#messages", "ask-opinion": "#opinions"}


def _sees_assessments(user: User, referral: Referral, read: FirstRead | None) -> bool:
    return read is not None or sees_other_reads(user, referral)


def _draft(known: Assessment | FirstRead | None) -> dict[str, str]:
    """What the form of the answer begins with: the answer that counts where there is one, else one's own read.

    Never the text: an amendment says why it is made, and a first answer is not the comment of a read.
    """
    if known is None:
        return {}
    draft = {"diagnosis": known.diagnosis, "confidence": str(known.confidence)}
    if isinstance(known, Assessment):
        draft |= {"plan": known.plan, "months": str(known.months or "")}
    return draft


def _assessments(referral: Referral) -> list[dict[str, object]]:
    found = []
    for assessment in Assessment.objects.filter(referral=referral).order_by("-signed_at"):
        assessment.referral = referral
        found.append(
            {
                "assessment": assessment,
                "name": name_of(assessment.diagnosis),
                "plan": assessment.get_plan_display(),
                "text": assessment.text,
                "signature": assessment.signature,
            }
        )
    return found


def _reads(referral: Referral) -> list[dict[str, object]]:
    reads = FirstRead.objects.filter(referral=referral).select_related("reader")
    return [{"read": read, "reader": person(read.reader), "name": name_of(read.diagnosis)} for read in reads]
