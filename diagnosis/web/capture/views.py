"""The app's one page, its manifest and its service worker. None of them holds anything of a patient."""

import base64
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import get_language, gettext
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import View

from diagnosis.classifier.recommendation import URGENT_CHECKLIST_SCORE, Level
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT, PRE_MALIGNANT
from diagnosis.models import CloseReason, Urgency
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.models.patients import organisations_of_clinician
from diagnosis.web.capture import body, questions
from diagnosis.web.capture.texts import CLOSE_REASONS, DIAGNOSES, LEVELS, OBSERVATION_MONTHS, TEXTS, URGENCIES
from diagnosis.web.languages import spoken
from skincare.accounts.models import User
from skincare.envelopes import current_public_key

_SOURCE: Final = Path(settings.BASE_DIR) / "static" / "skincare"
#: The page's own files, besides those of every page; app.js imports the other modules.
MODULES: Final = tuple(sorted(path.name for path in (_SOURCE / "capture").glob("*.js")))
SHELL: Final = (
    "skincare/design.css",
    "skincare/icon.svg",
    "skincare/capture/capture.css",
    "skincare/capture/icon-192.png",
    *(f"skincare/capture/{name}" for name in MODULES),
)


def address_of(name: str) -> str:
    """Where a file of the app is. Modules name each other without a digest, and are asked for and kept like that."""
    return f"{settings.STATIC_URL}{name}" if name.endswith(".js") else static(name)


@method_decorator(ensure_csrf_cookie, name="dispatch")
@method_decorator(csp_update({"img-src": ["blob:"], "worker-src": ["'self'"]}), name="dispatch")
class CaptureApp(AccessMixin, View):
    """The page, for clinicians."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        if not organisations_of_clinician(request.user).exists():
            raise PermissionDenied("this is for clinicians; you are not one in any organisation")
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return render(request, "capture/app.html", context())


def _concern(code: str) -> str:
    """The key of the word that stands beside a diagnosis; empty for a benign one."""
    if code in PRE_MALIGNANT:
        return "pre_malignant"
    return "malignant" if code in MALIGNANT else ""


def context() -> dict[str, Any]:
    """What the template needs: nothing of the person who asks, so that the page can be kept for offline use."""
    public = current_public_key()
    return {
        "app": address_of("skincare/capture/app.js"),
        "modules": [address_of(f"skincare/capture/{name}") for name in MODULES if name != "app.js"],
        "body": body.figures(),
        "questions": questions.QUESTIONS,
        "background": questions.BACKGROUND,
        "diagnoses": [{"code": code, "name": DIAGNOSES[code]} for code in CLASSES],
        "levels": [{"code": code, "short": text.short} for code, text in LEVELS.items()],
        "urgencies": [{"code": code, "name": text.name, "help": text.help} for code, text in URGENCIES.items()],
        "close_reasons": [{"code": code, "name": text} for code, text in CLOSE_REASONS.items()],
        "observation_months": OBSERVATION_MONTHS,
        "spoken": spoken(),
        "configuration": {
            "language": get_language(),
            "texts": {key: str(text) for key, text in TEXTS.items()},
            "sealingKey": {"name": public.name, "point": base64.b64encode(public.point).decode()},
            "regions": [
                {"code": region.code, "name": str(region.name), "site": region.site.value} for region in body.REGIONS
            ],
            "diagnoses": {code: {"name": str(DIAGNOSES[code]), "concern": _concern(code)} for code in CLASSES},
            "levels": {code: str(text.short) for code, text in LEVELS.items()},
            "points": CHECKLIST_POINTS,
            "urgentScore": URGENT_CHECKLIST_SCORE,
            "background": [question.code for question in questions.BACKGROUND],
            "questions": {question.code: str(question.name) for question in questions.QUESTIONS},
            "urls": {
                "signIn": f"{reverse(settings.LOGIN_URL)}?next={reverse('capture')}",
                "signOut": reverse("sign-out"),
                "appearance": reverse("appearance"),
                "worker": reverse("capture-worker"),
                "consents": reverse("consents"),
            },
        },
    }


assert set(LEVELS) == set(Level)
assert set(URGENCIES) == set(Urgency)
assert set(CLOSE_REASONS) == set(CloseReason)


class Manifest(View):
    """What makes the page installable."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Tell it."""
        start = reverse("capture")
        icons = [
            {"src": static(f"skincare/capture/icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png",
             "purpose": "any maskable"}
            for size in (192, 512)
        ]  # fmt: skip
        return JsonResponse(
            {
                "name": gettext("Skincare: cases"),
                "short_name": "Skincare",
                "start_url": start,
                "scope": start,
                "id": start,
                "display": "standalone",
                "background_color": "#fbfaf8",
                "theme_color": "#0f766e",
                "icons": icons,
            },
            content_type="application/manifest+json",
        )


@lru_cache(maxsize=1)
def _version() -> str:
    """A digest over everything that the service worker keeps."""
    digest = hashlib.sha256()
    for name in SHELL:
        digest.update((_SOURCE.parent / name).read_bytes())
    for template in sorted((Path(settings.BASE_DIR) / "templates" / "capture").glob("*.html")):
        digest.update(template.read_bytes())
    return digest.hexdigest()[:16]


class ServiceWorker(View):
    """Under /capture/, so that it has no say over the rest of the site."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Give the script, with the version and the files that it keeps."""
        kept = {
            "version": _version(),
            "page": reverse("capture"),
            "files": [*(address_of(name) for name in SHELL), reverse("capture-manifest")],
        }
        script = (_SOURCE / "capture" / "worker" / "service-worker.js").read_text()
        return HttpResponse(
            f"const KEPT = {json.dumps(kept)};\n{script}",
            content_type="text/javascript",
            headers={"Cache-Control": "no-cache"},
        )
