"""The answer, the referral and the patient's leaflet as PDF, from the reading page."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from diagnosis.models.sealed import PatientErased
from diagnosis.services import letters
from diagnosis.services.errors import Refusal
from diagnosis.web.refusals import in_words
from diagnosis.web.worklist.base import ReaderPage


class DocumentPage(ReaderPage):
    """One document of a referral: ``letter``, ``referral-letter`` or ``leaflet``."""

    def get(self, request: HttpRequest, pk: UUID, kind: str) -> HttpResponse:
        """Make it, or say why there is none."""
        referral = self.referral_or_404(pk)
        language = request.GET.get("language", "")
        try:
            match kind:
                case "letter":
                    content = letters.answer_letter(user=self.user, referral_id=pk, language=language)
                case "referral-letter":
                    content = letters.referral_letter(user=self.user, referral_id=pk, language=language)
                case "leaflet":
                    content = letters.leaflet(user=self.user, case_id=referral.case_id, language=language)
                case _:
                    raise Http404
        except PatientErased as erased:
            raise Http404 from erased
        except Refusal as refusal:
            if refusal.code == "not_found":  # taken from the user's sight a moment ago
                raise Http404 from refusal
            return render(
                request, "worklist/no_document.html", {"refusal": in_words(refusal), "referral": referral}, status=409
            )
        return HttpResponse(
            content,
            content_type="application/pdf",
            headers={
                "Content-Disposition": f'attachment; filename="{kind}.pdf"',
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )
