"""The audit record, to be read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from skincare.audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin):
    """Ids only; nothing can be added, changed or deleted."""

    list_display = ("id", "at", "actor", "action", "object", "address")
    list_select_related = ("actor",)
    search_fields = ("action", "object_id", "request_id")
    search_help_text = "An action such as case.submitted, or the id of an object or a request"
    show_full_result_count = False

    @admin.display
    def object(self, event: AuditEvent) -> str:
        """What the event is about; the whole id is on its page."""
        return f"{event.object_type} {event.object_id[:8]}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Events come from the services that do what is recorded."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The record is append-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The record is append-only."""
        return False
