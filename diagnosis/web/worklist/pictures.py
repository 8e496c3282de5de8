"""Photographs, message photographs and the activation map of a referral, each to those who may see it there."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from diagnosis.models import Analysis, Case, CaseImage, MessageImage, Patient
from diagnosis.services.files import open_sealed
from diagnosis.services.first_reads import show_answer
from diagnosis.services.maps import NoMap, draw_map
from diagnosis.web.worklist.base import ReaderPage
from diagnosis.web.worklist.reading import messages_shown
from skincare.accounts.models import User
from skincare.audit.record import record_reads


class PhotographPage(ReaderPage):
    """A photograph of the referral's case, or of another visit of the same lesion."""

    def get(self, request: HttpRequest, pk: UUID, image: UUID) -> HttpResponse:
        """Fetch it."""
        referral = self.referral_or_404(pk)
        cases = Case.objects.referred_to(self.user).filter(lesion=referral.case.lesion_id)
        found = get_object_or_404(CaseImage.objects.filter(case__in=cases), pk=image)
        return _picture(self.user, referral.case.patient, open_sealed(referral.case.patient, found.photograph_file))


class MessagePhotographPage(ReaderPage):
    """A photograph that came with a message."""

    def get(self, request: HttpRequest, pk: UUID, image: UUID) -> HttpResponse:
        """Fetch it."""
        referral = self.referral_or_404(pk)
        if not messages_shown(self.user, referral):
            raise Http404
        found = get_object_or_404(MessageImage.objects.filter(message__referral=referral), pk=image)
        return _picture(self.user, referral.case.patient, open_sealed(referral.case.patient, found.photograph_file))


class MapPage(ReaderPage):
    """Where the network looked, as soon as its answer may be shown to the user and not before."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw it."""
        referral = self.referral_or_404(pk)
        shown = show_answer(user=self.user, referral=referral)
        if shown is None:
            raise Http404
        analysis = (
            Analysis.objects.select_related("case__patient__data_key_row")
            .prefetch_related("case__images")
            .get(pk=shown.pk)
        )
        try:
            return _picture(self.user, referral.case.patient, draw_map(analysis), "image/png")
        except NoMap as error:
            raise Http404 from error


def _picture(user: User, patient: Patient, content: bytes, kind: str = "image/jpeg") -> HttpResponse:
    record_reads(user, [(patient.organisation_id, patient.pk)])
    return HttpResponse(content, content_type=kind, headers={"Cross-Origin-Resource-Policy": "same-origin"})
