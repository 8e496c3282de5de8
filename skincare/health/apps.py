"""The app of the health checks."""

from django.apps import AppConfig


class HealthConfig(AppConfig):
    name = "skincare.health"

    def ready(self) -> None:
        from skincare.health import checks  # noqa: F401  # registers the system check
