"""How a case is shown: in a list, and whole, with what the network said and what may be concluded from it."""

from datetime import timedelta
from typing import Any, ClassVar, Final

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from diagnosis.api.access import signed_in
from diagnosis.api.image_links import link_to
from diagnosis.api.schema import DIAGNOSES
from diagnosis.classifier.recommendation import Decider, Level
from diagnosis.classifier.taxonomy import CLASSES, NAMES
from diagnosis.models import Analysis, AnalysisState, Case, CaseImage, CaseState, ModelVersion
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services import wording

#: How soon to ask again while a case waits: at once in the beginning, since an answer takes a fraction of a second.
_POLL_MS: Final = ((timedelta(seconds=2), 150), (timedelta(seconds=10), 500), (timedelta.max, 2000))


def poll_after_ms(analysis: Analysis) -> int | None:
    """Milliseconds after which asking again makes sense; nothing once the state is final."""
    if analysis.state not in (AnalysisState.WAITING, AnalysisState.RUNNING) or analysis.waiting_since is None:
        return None
    waited = timezone.now() - analysis.waiting_since
    return next(pause for longest, pause in _POLL_MS if waited < longest)


class ProbabilitiesDocument(serializers.Serializer[Any]):
    """Of the seven diagnoses, calibrated; they sum to 1."""

    akiec = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["akiec"])
    bcc = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["bcc"])
    bkl = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["bkl"])
    df = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["df"])
    mel = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["mel"])
    nv = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["nv"])
    vasc = serializers.FloatField(min_value=0, max_value=1, help_text=NAMES["vasc"])


class NoticeDocument(serializers.Serializer[Any]):
    """Something that must be shown beside an answer."""

    code = serializers.CharField()
    text = serializers.CharField()


class VersionReferenceDocument(serializers.ModelSerializer[ModelVersion]):
    """The version of the network that answered."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields: ClassVar = ["id", "name", "url"]

    @extend_schema_field(serializers.URLField())
    def get_url(self, version: ModelVersion) -> str:
        """Where its metrics and limits are."""
        return _address(self.context["request"], "model-version", version.pk)


class AnalysisDocument(serializers.ModelSerializer[Analysis]):
    """What the network says of a case, or that it is to say something, or why it says nothing."""

    statement = serializers.SerializerMethodField(help_text="In plain words, for the clinician.")
    probabilities = serializers.SerializerMethodField(help_text="Null unless answered.")
    malignancy_risk = serializers.FloatField(
        allow_null=True, min_value=0, max_value=1, help_text="p(mel) + p(bcc) + p(akiec); null unless answered."
    )
    predicted = serializers.ChoiceField(
        choices=DIAGNOSES,
        allow_null=True,
        help_text="The decision corrected for how common each diagnosis is; null unless answered.",
    )
    predicted_name = serializers.SerializerMethodField()
    recommendation = serializers.ChoiceField(
        choices=[(level.value, level.value) for level in Level],
        allow_null=True,
        help_text="The more urgent of the network's and the clinical rule's; where the network has not answered, the "
        "clinical rule's alone.",
    )
    recommendation_text = serializers.SerializerMethodField()
    decided_by = serializers.ChoiceField(
        choices=[(rule.value, rule.value) for rule in Decider],
        allow_null=True,
        help_text="The rule that decided the recommendation.",
    )
    decided_by_text = serializers.SerializerMethodField()
    notices = serializers.SerializerMethodField()
    deciding_image = serializers.SerializerMethodField(help_text="The photograph whose reading decided.")
    readings = serializers.JSONField(help_text="What was read of each photograph, or why it was not.")
    conditions = serializers.JSONField(
        help_text="Preprocessing, thresholds, temperature and backend in force, so that the answer can be recomputed."
    )
    timings = serializers.JSONField(help_text="Milliseconds by stage.")
    model_version = VersionReferenceDocument(allow_null=True)
    map = serializers.SerializerMethodField(
        help_text="Where the network looked, as a PNG: orientation, not evidence. Null unless answered."
    )

    class Meta:
        model = Analysis
        fields: ClassVar = [
            "id",
            "state",
            "reason",
            "reason_text",
            "statement",
            "probabilities",
            "malignancy_risk",
            "predicted",
            "predicted_name",
            "recommendation",
            "recommendation_text",
            "decided_by",
            "decided_by_text",
            "notices",
            "deciding_image",
            "readings",
            "model_version",
            "conditions",
            "timings",
            "map",
            "attempts",
            "waiting_since",
            "finished_at",
        ]

    def to_representation(self, analysis: Analysis) -> dict[str, Any]:
        """Null instead of an empty text where there is no result."""
        shown = super().to_representation(analysis)
        for name in ("predicted", "recommendation", "decided_by"):
            shown[name] = shown[name] or None
        return shown

    def get_statement(self, analysis: Analysis) -> str:
        """In plain words."""
        return wording.statement(analysis)

    @extend_schema_field(ProbabilitiesDocument(allow_null=True))
    def get_probabilities(self, analysis: Analysis) -> dict[str, float] | None:
        """By class."""
        if analysis.probabilities is None:
            return None
        return dict(zip(CLASSES, analysis.probabilities, strict=True))

    def get_predicted_name(self, analysis: Analysis) -> str | None:
        """In words."""
        return NAMES[analysis.predicted] if analysis.predicted else None

    def get_recommendation_text(self, analysis: Analysis) -> str | None:
        """In words."""
        return str(wording.RECOMMENDATIONS[analysis.recommendation]) if analysis.recommendation else None

    def get_decided_by_text(self, analysis: Analysis) -> str | None:
        """In words."""
        return str(wording.DECIDERS[analysis.decided_by]) if analysis.decided_by else None

    @extend_schema_field(NoticeDocument(many=True))
    def get_notices(self, analysis: Analysis) -> list[dict[str, str]]:
        """With their words."""
        return [{"code": code, "text": str(wording.NOTICES.get(code, code))} for code in analysis.notices]

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_deciding_image(self, analysis: Analysis) -> str | None:
        """Its id."""
        images = {image.position: image for image in analysis.case.images.all()}
        deciding = images.get(analysis.deciding_position or 0)
        return str(deciding.pk) if deciding else None

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_map(self, analysis: Analysis) -> str | None:
        """Its address."""
        if analysis.state != AnalysisState.ANSWERED or analysis.case.patient.erased:
            return None
        return _address(self.context["request"], "analysis-map", analysis.pk)


class ChecklistDocument(serializers.Serializer[Any]):
    """The weighted 7-point checklist (NICE NG12): 3 points or more are a suspected cancer referral."""

    change_in_size = serializers.BooleanField()
    irregular_shape = serializers.BooleanField()
    irregular_colour = serializers.BooleanField()
    diameter_7_mm_or_more = serializers.BooleanField()
    inflammation = serializers.BooleanField()
    oozing = serializers.BooleanField()
    change_in_sensation = serializers.BooleanField()
    score = serializers.IntegerField(source="checklist_score", min_value=0, max_value=sum(CHECKLIST_POINTS.values()))


class ImageDocument(serializers.ModelSerializer[CaseImage]):
    """A photograph of a case."""

    quality = serializers.JSONField(help_text="Measures, `problems` that keep the network from it, and `warnings`.")
    content = serializers.SerializerMethodField(
        help_text="A link that works for you alone, for up to 5 minutes. Null once the patient was erased."
    )

    class Meta:
        model = CaseImage
        fields: ClassVar = [
            "id",
            "position",
            "kind",
            "width",
            "height",
            "received_format",
            "sha256",
            "quality",
            "content",
        ]

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_content(self, image: CaseImage) -> str | None:
        """The link."""
        if image.case.patient.erased:
            return None
        request: Request = self.context["request"]
        return link_to(request, image, signed_in(request))


class LinksDocument(serializers.Serializer[Any]):
    """Where to look next."""

    self = serializers.URLField()
    patient = serializers.URLField()
    lesion = serializers.URLField()
    consents = serializers.URLField()
    retry = serializers.URLField(allow_null=True, help_text="POST here to ask again; null where that makes no sense.")


class CaseSummaryDocument(serializers.ModelSerializer[Case]):
    """A case in a list."""

    state = serializers.ChoiceField(choices=CaseState.choices)
    state_text = serializers.SerializerMethodField()
    malignancy_risk = serializers.FloatField(source="analysis.malignancy_risk", allow_null=True)
    predicted = serializers.SerializerMethodField()
    recommendation = serializers.SerializerMethodField()
    checklist_score = serializers.IntegerField()
    answered_at = serializers.DateTimeField(
        source="analysis.finished_at", allow_null=True, help_text="When the analysis came to its end."
    )
    url = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields: ClassVar = [
            "id",
            "url",
            "organisation",
            "patient",
            "lesion",
            "submitted_at",
            "seen_at",
            "state",
            "state_text",
            "anatom_site_general",
            "age_approx",
            "sex",
            "checklist_score",
            "suspicion",
            "malignancy_risk",
            "predicted",
            "recommendation",
            "answered_at",
        ]

    def get_state_text(self, case: Case) -> str:
        """In words."""
        return str(case.state.label)

    @extend_schema_field(serializers.ChoiceField(choices=DIAGNOSES, allow_null=True))
    def get_predicted(self, case: Case) -> str | None:
        """Null unless answered."""
        return case.analysis.predicted or None

    @extend_schema_field(
        serializers.ChoiceField(choices=[(level.value, level.value) for level in Level], allow_null=True)
    )
    def get_recommendation(self, case: Case) -> str | None:
        """Null until there is one."""
        return case.analysis.recommendation or None

    @extend_schema_field(serializers.URLField())
    def get_url(self, case: Case) -> str:
        """Where the whole case is."""
        return _address(self.context["request"], "case", case.pk)


class CaseDocument(serializers.ModelSerializer[Case]):
    """A case as a whole."""

    state = serializers.ChoiceField(choices=CaseState.choices)
    state_text = serializers.SerializerMethodField()
    poll_after_ms = serializers.SerializerMethodField(
        help_text="Ask again after so many milliseconds, with If-None-Match; null once the state is final."
    )
    checklist = ChecklistDocument(source="*")
    note = serializers.SerializerMethodField()
    images = ImageDocument(many=True, read_only=True)
    analysis = AnalysisDocument()
    links = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields: ClassVar = [
            "id",
            "organisation",
            "patient",
            "lesion",
            "submitted_by",
            "submitted_at",
            "seen_at",
            "state",
            "state_text",
            "poll_after_ms",
            "age_approx",
            "sex",
            "anatom_site_general",
            "fitzpatrick_skin_type",
            "suspicion",
            "impression",
            "checklist",
            "bleeding",
            "growth",
            "personal_hx_mm",
            "family_hx_mm",
            "personal_hx_skin_cancer",
            "sun_damage",
            "immunosuppression",
            "note",
            "images",
            "analysis",
            "links",
        ]

    def get_state_text(self, case: Case) -> str:
        """In words."""
        return str(case.state.label)

    def get_poll_after_ms(self, case: Case) -> int | None:
        """Milliseconds."""
        return poll_after_ms(case.analysis)

    def get_note(self, case: Case) -> str:
        """Decrypted."""
        return "" if case.patient.erased else case.note

    @extend_schema_field(LinksDocument())
    def get_links(self, case: Case) -> dict[str, str | None]:
        """Where to look next."""
        request: Request = self.context["request"]
        can_retry = case.analysis.state in (AnalysisState.FAILED, AnalysisState.NOT_REQUESTED)
        return {
            "self": _address(request, "case", case.pk),
            "patient": _address(request, "patient", case.patient_id),
            "lesion": _address(request, "lesion", case.lesion_id),
            "consents": _address(request, "patient-consents", case.patient_id),
            "retry": _address(request, "case-retry", case.pk) if can_retry and not case.patient.erased else None,
        }


def _address(request: Request, name: str, pk: Any) -> str:
    return request.build_absolute_uri(reverse(name, kwargs={"pk": pk}))
