"""The audit record, to be read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from skincare.audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin):
    """Ids only; nothing can be added, changed or deleted."""

    list_display = ("id", "at", "actor", "action", "object_type", "object_id", "address")
    list_filter = ("action",)
    search_fields = ("object_id", "patient_id", "request_id")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Events come from the services that do what is recorded."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The record is append-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The record is append-only."""
        return False
