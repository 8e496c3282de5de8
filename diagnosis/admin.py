"""Administration of policies, versions and analyses. No patient data: ids, states and reasons only."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from diagnosis.models import Analysis, ConsentPolicy, ModelVersion, RetentionPolicy
from diagnosis.services import analysis_queue, retention
from diagnosis.services.errors import Conflict
from skincare.accounts.models import User
from skincare.audit.by_hand import Recorded


class ReadOnly:
    """Mixed into an admin page on which nothing is added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are changed by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are kept."""
        return False


@admin.register(ConsentPolicy)
class ConsentPolicyAdmin(Recorded, admin.ModelAdmin):
    """Texts of consent. A published one is never changed: publish a new version instead."""

    list_display = ("version", "language", "title", "published_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Patients consented to this very text."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Patients consented to this very text."""
        return False


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(Recorded, admin.ModelAdmin):
    """How long patients are kept. ``manage.py retention --preview`` shows whom a period would erase."""

    list_display = ("organisation", "months_after_last_case", "applies_from")
    readonly_fields = ("applies_from",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A policy stays with its organisation."""
        return ("organisation", "applies_from") if obj else ("applies_from",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A longer period says as much and leaves a record."""
        return False

    def save_model(self, request: HttpRequest, obj: RetentionPolicy, form: Any, change: bool) -> None:
        """Through the service, which keeps the notice and records the change."""
        if isinstance(request.user, User):
            retention.set_policy(organisation=obj.organisation, months=obj.months_after_last_case, user=request.user)


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnly, admin.ModelAdmin):
    """Versions of the network, with what was measured of them."""

    list_display = ("name", "state", "released_at", "manifest_sha256")


@admin.register(Analysis)
class AnalysisAdmin(ReadOnly, admin.ModelAdmin):
    """The queue of analyses; a failed one can be asked for again."""

    list_display = ("short_id", "state", "reason", "attempts", "waiting_since", "finished_at", "model_version")
    list_filter = ("state", "reason", "model_version")
    search_fields = ("id", "case__id")
    search_help_text = "The id of an analysis or of a case"
    fields = (
        "id",
        "case_id",
        "state",
        "attempts",
        "waiting_since",
        "not_before",
        "lease_until",
        "finished_at",
        "reason",
        "reason_text",
        "model_version",
        "timings",
    )
    readonly_fields = fields
    actions = ("retry",)
    list_select_related = ("model_version",)
    show_full_result_count = False

    @admin.display(description="id", ordering="id")
    def short_id(self, analysis: Analysis) -> str:
        """The first eight digits; the whole id is on its page."""
        return str(analysis.pk)[:8]

    @admin.action(description="Ask for the selected analyses again", permissions=["view"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Analysis]) -> None:
        """Retry each; say which could not be and why."""
        if not isinstance(request.user, User):
            return
        again = 0
        for analysis in queryset.select_related("case"):
            try:
                analysis_queue.retry(user=request.user, case=analysis.case)
                again += 1
            except Conflict as conflict:
                self.message_user(request, f"{analysis.pk}: {conflict}", messages.WARNING)
        if again:
            self.message_user(request, f"{again} asked for again.", messages.SUCCESS)
