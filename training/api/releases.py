"""model-versions/{id}/…: judging, releasing, rolling back and trying a version in shadow, by model stewards."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import StrictSerializer
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import ModelVersion
from diagnosis.services.shadow import compare_in_shadow
from training.api.runs import EXAMPLE_RUN, TrainingRunDocument
from training.models import TrainingRun
from training.services import releases
from training.services.runs import judge


class ReleaseDocument(serializers.ModelSerializer[ModelVersion]):
    """Where a version stands between training and service."""

    not_releasable_because = serializers.SerializerMethodField(help_text="Empty where it may be proposed or approved.")
    judgement = serializers.SerializerMethodField(
        help_text="Gates, comparison with the champion, McNemar's and DeLong's tests; null: none yet."
    )
    shadow = serializers.SerializerMethodField(help_text="Counts over live cases; null: it was never in shadow.")

    class Meta:
        model = ModelVersion
        fields: ClassVar = [
            "id",
            "name",
            "state",
            "origin",
            "released_at",
            "gates_passed",
            "proposed_by",
            "proposed_at",
            "approved_by",
            "shadow_since",
            "not_releasable_because",
            "judgement",
            "shadow",
        ]

    def get_not_releasable_because(self, version: ModelVersion) -> str:
        """A sentence."""
        return releases.why_not_releasable(version)

    def get_judgement(self, version: ModelVersion) -> dict[str, Any] | None:
        """As it was when it was last judged."""
        run = TrainingRun.objects.filter(model_version=version).first()
        return run.metrics.get("judgement") if run is not None else None

    def get_shadow(self, version: ModelVersion) -> dict[str, Any] | None:
        """Counts only."""
        compared = compare_in_shadow(version)
        return asdict(compared) if compared.read or version.shadow_since else None


EXAMPLE_RELEASE: Final = {
    "id": "0c9b0b8e-6f55-4f8b-9f3c-7a2d6a1b5e44",
    "name": "house-20261123-5b2f6a0a",
    "state": "challenger",
    "origin": "trained",
    "released_at": None,
    "gates_passed": True,
    "proposed_by": None,
    "proposed_at": None,
    "approved_by": None,
    "shadow_since": None,
    "not_releasable_because": "",
    "judgement": {
        "judged_at": "2026-11-23T10:12:00+00:00",
        "champion": {"id": "6a51…", "name": "mobilenetv2-ham10000-3"},
        "tests": ["52ac…"],
        "gates": [
            {
                "code": "sensitivity",
                "title": "Malignant sensitivity is not inferior",
                "passed": True,
                "reason": "Difference +1.0 points (95 % from -1.9 points to +4.0 points); …",
            }
        ],
        "comparison": [],
        "tests_of_difference": {
            "first": "house-20261123-5b2f6a0a",
            "second": "mobilenetv2-ham10000-3",
            "images": 982,
            "lesions": 745,
            "mcnemar": {
                "only_first_right": 41,
                "only_second_right": 33,
                "p_exact": 0.416,
                "chi_squared": 0.6622,
                "p_chi_squared": 0.4158,
            },
            "delong": {},
            "difference": {"malignant_auc": {"value": 0.004, "low": -0.006, "high": 0.014}},
            "assumptions": "McNemar's and DeLong's tests take images for independent, …",
        },
    },
    "shadow": None,
}


def _action(operation: str, summary: str, description: str, *, statuses: tuple[int, ...] = (401, 403, 404, 409)) -> Any:
    return extend_schema(
        operation_id=operation,
        summary=summary,
        description=f"For model stewards. {description}",
        tags=["Versions of the network"],
        request=None,
        responses={200: ReleaseDocument, **problem_examples(*statuses)},
        examples=[OpenApiExample("A challenger", value=EXAMPLE_RELEASE, response_only=True)],
    )


class _Action(ApiView):
    """Something that a steward does with a version."""

    def act(self, request: Request, pk: Any, service: Callable[..., ModelVersion], **more: Any) -> Response:
        get_object_or_404(ModelVersion, pk=pk)
        return Response(ReleaseDocument(service(user=signed_in(request), version_id=pk, **more)).data)


class ReleaseView(_Action):
    """Where a version stands."""

    access: ClassVar = {"GET": Access.MODEL_STEWARD}

    @_action(
        "model_version_release_retrieve",
        "Show where a version stands between training and service",
        "With its gates, the comparison with the champion, and why it may not be released.",
        statuses=(401, 403, 404),
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show it."""
        return Response(ReleaseDocument(get_object_or_404(ModelVersion, pk=pk)).data)


class ProposeView(_Action):
    """The first of two people."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}
    confirmed: ClassVar = {"POST"}

    @_action("model_version_propose", "Propose the release of a challenger", "Another steward has to approve it.")
    def post(self, request: Request, pk: Any) -> Response:
        """Propose."""
        return self.act(request, pk, releases.propose_release)


class WithdrawView(_Action):
    """Taking a proposal back."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}

    @_action("model_version_withdraw", "Take back the proposal of a release", "One's own or another's.")
    def post(self, request: Request, pk: Any) -> Response:
        """Withdraw."""
        return self.act(request, pk, releases.withdraw_proposal)


class ApproveView(_Action):
    """The second of two people."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}
    confirmed: ClassVar = {"POST"}

    @_action(
        "model_version_approve",
        "Approve the release of a challenger, which serves from then on",
        "Never by whoever proposed it. The champion retires; workers open the new version without a restart.",
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Approve."""
        return self.act(request, pk, releases.approve_release)


class RollBackView(_Action):
    """Back to a version that served before."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}
    confirmed: ClassVar = {"POST"}

    @_action(
        "model_version_roll_back",
        "Put a retired version back into service",
        "One steward may do so at once: it was released before.",
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Roll back."""
        return self.act(request, pk, releases.roll_back)


class ShadowForm(StrictSerializer):
    """Whether the challenger reads in shadow."""

    on = serializers.BooleanField()


class ShadowView(_Action):
    """Trying a challenger on live cases, unseen."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}

    @extend_schema(
        operation_id="model_version_shadow",
        summary="Let a challenger read live cases in shadow, or stop it",
        description="For model stewards. Only cases of patients who consented to analysis and to research; nobody who "
        "treats sees what it says.",
        tags=["Versions of the network"],
        request=ShadowForm,
        responses={200: ReleaseDocument, **problem_examples(400, 401, 403, 404, 409)},
        examples=[
            OpenApiExample("On", value={"on": True}, request_only=True),
            OpenApiExample("A challenger", value=EXAMPLE_RELEASE, response_only=True),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Start or stop."""
        form = ShadowForm(data=request.data)
        form.is_valid(raise_exception=True)
        return self.act(request, pk, releases.set_shadow, on=form.validated_data["on"])


class JudgeView(ApiView):
    """Judging a challenger (again)."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}

    @extend_schema(
        operation_id="model_version_judge",
        summary="Judge a challenger on the frozen tests that are there now",
        description="For model stewards. Done by the training worker; the run that is answered tells when it is over.",
        tags=["Versions of the network"],
        request=None,
        responses={202: TrainingRunDocument, **problem_examples(401, 403, 404, 409)},
        examples=[OpenApiExample("Queued", value=EXAMPLE_RUN, response_only=True, status_codes=["202"])],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Judge."""
        get_object_or_404(ModelVersion, pk=pk)
        return Response(TrainingRunDocument(judge(user=signed_in(request), version_id=pk)).data, status=202)
