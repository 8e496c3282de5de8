"""The page that greets at `/`, and its icon."""

from django.templatetags.static import static
from django.views.generic import RedirectView, TemplateView

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT, NAMES


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
