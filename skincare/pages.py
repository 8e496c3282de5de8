"""The page that greets at `/`, its icon, and the way to where somebody works."""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.templatetags.static import static
from django.urls import reverse
from django.views.generic import RedirectView, TemplateView

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT, NAMES
from skincare.accounts.models import Role


class Home(TemplateView):
    """Says what this is, what it is not, and where things are."""

    template_name = "home.html"
    extra_context = {
        "diagnoses": [
            {"code": code, "name": NAMES[code], "malignant": code in MALIGNANT}
            for code in (*MALIGNANT, *(code for code in CLASSES if code not in MALIGNANT))
        ]
    }


class Icon(RedirectView):
    """Leads to the icon, whose address in production holds a digest of it."""

    def get_redirect_url(self, *args: object, **kwargs: object) -> str:
        return static("skincare/icon.svg")


#: Where people of a role work; who has several is led to the first of them.
_PLACES = ((Role.CLINICIAN, "capture"), (Role.DERMATOLOGIST, "worklist"), (Role.ADMINISTRATOR, "privacy"))


class Start(LoginRequiredMixin, RedirectView):
    """start/: where somebody lands who has signed in."""

    def get_redirect_url(self, *args: object, **kwargs: object) -> str:
        roles = set(self.request.user.memberships.values_list("role", flat=True))  # type: ignore[union-attr]
        return reverse(next((place for role, place in _PLACES if role in roles), "home"))
