"""The app of the health checks."""

from django.apps import AppConfig


class HealthConfig(AppConfig):
    name = "skincare.health"
