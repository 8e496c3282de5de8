"""The page that greets at `/`."""

from django.views.generic import TemplateView

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
