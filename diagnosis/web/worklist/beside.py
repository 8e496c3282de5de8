"""What stands beside the network's answer on the reading page, fetched once it is shown: what changed of the lesion,
and confirmed cases that look alike. Never before the reader's own read.
"""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from diagnosis.models import ReferenceImage, Referral
from diagnosis.models.diagnosis_names import class_name
from diagnosis.services.errors import Conflict
from diagnosis.services.files import open_public, open_sealed
from diagnosis.services.similar import HOW, NEARNESS, Similar, may_see_similar, similar_cases
from diagnosis.services.visits import Visit, visits_of
from diagnosis.services.wording import OBSERVATIONS, per_cent
from diagnosis.web.worklist.base import ReaderPage
from skincare.audit.record import record_reads

#: Half a point of risk more or less is said to be the same.
SAME: float = 0.005


class BesidePage(ReaderPage):
    """A part of the reading page. 404 as long as the answer is withheld, as if there were none."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        referral = self.referral_or_404(pk)
        try:
            visits = visits_of(user=self.user, referral=referral)
        except Conflict as withheld:
            raise Http404 from withheld
        record_reads(self.user, [(referral.case.organisation_id, referral.case.patient_id)])
        context: dict[str, object] = {"referral": referral, "visits": [_visit_words(visit) for visit in visits]}
        try:
            found = similar_cases(user=self.user, referral=referral)
        except Conflict as nothing:
            context["nothing"] = nothing.code
        else:
            context |= {
                "cases": [_similar_words(referral, each) for each in found.cases],
                "references": [_similar_words(referral, each) for each in found.references],
                "searched": found.searched,
                "bounded": found.bounded,
                "sets": list({each.reference.set for each in found.references if each.reference}),
            }
        template = "beside" if request.GET.get("part") == "beside" else "beside_page"
        return render(request, f"worklist/{template}.html", context)


class SimilarPhotographPage(ReaderPage):
    """The photograph of a confirmed case that looked alike."""

    def get(self, request: HttpRequest, pk: UUID, image: UUID) -> HttpResponse:
        """Fetch it."""
        found = may_see_similar(user=self.user, referral=self.referral_or_404(pk), image=image)
        if found is None:
            raise Http404
        patient, photograph = found
        record_reads(self.user, [(patient.organisation_id, patient.pk)])
        return _jpeg(open_sealed(patient, photograph.photograph_file))


class ReferencePhotographPage(ReaderPage):
    """A photograph of a public reference set."""

    def get(self, request: HttpRequest, image: UUID) -> HttpResponse:
        """Fetch it."""
        found = get_object_or_404(ReferenceImage, pk=image)
        return _jpeg(open_public(found.photograph_file))


def _jpeg(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="image/jpeg", headers={"Cross-Origin-Resource-Policy": "same-origin"})


def _similar_words(referral: Referral, each: Similar) -> dict[str, object]:
    if each.reference is not None:
        address = reverse("worklist-reference", args=[each.reference.pk])
        source = _("%(set)s, %(name)s") % {"set": each.reference.set.name, "name": each.reference.name}
    else:
        assert each.image is not None  # one or the other
        address = reverse("worklist-similar", args=[referral.pk, each.image.pk])
        source = each.site
    return {
        "address": address,
        "diagnosis": each.diagnosis,
        "malignant": each.malignant,
        "how": str(HOW[each.how]),
        "nearness": str(NEARNESS[each.nearness]),
        "distance": f"{each.distance:.2f}",
        "source": source,
    }


def _visit_words(visit: Visit) -> dict[str, object]:
    changes = []
    if visit.appeared:
        changes.append(_("new: %(what)s") % {"what": _named(visit.appeared)})
    if visit.went:
        changes.append(_("no longer: %(what)s") % {"what": _named(visit.went)})
    if visit.rose is not None and visit.rose[1] >= SAME:
        code, by = visit.rose
        points = max(1, round(100 * by))
        words = ngettext("%(name)s up by %(points)d point", "%(name)s up by %(points)d points", points)
        changes.append(words % {"name": class_name(code), "points": points})
    if visit.other_version:
        changes.append(_("read by another version; not compared"))
    return {
        "seen_at": visit.seen_at,
        "after": timesince(visit.before_at, visit.seen_at, depth=1) if visit.before_at else "",
        "this": visit.this,
        "score": visit.checklist_score,
        "risk": per_cent(visit.risk) if visit.risk is not None else "",
        "trend": _trend(visit.risk_change),
        "looks_like": class_name(visit.predicted),
        "changes": changes,
    }


def _trend(change: float | None) -> str:
    if change is None:
        return ""
    if abs(change) < SAME:
        return _("the same")
    points = max(1, round(100 * abs(change)))
    if change > 0:
        return ngettext("up by %(points)d point", "up by %(points)d points", points) % {"points": points}
    return ngettext("down by %(points)d point", "down by %(points)d points", points) % {"points": points}


def _named(observations: list[str]) -> str:
    return _(", ").join(str(OBSERVATIONS[name]) for name in observations)
