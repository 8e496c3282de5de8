"""The append-only record of who did what with whose data."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "skincare.audit"
    label = "audit"

    def ready(self) -> None:
        from skincare.audit import checks  # noqa: F401  # registers the system check
