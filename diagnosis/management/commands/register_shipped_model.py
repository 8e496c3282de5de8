"""Registers the network that ships with the project, and puts it into service where nothing else serves."""

from django.core.management.base import BaseCommand

from diagnosis.services.model_versions import register_shipped


class Command(BaseCommand):
    """``manage.py register_shipped_model``; can be repeated."""

    help = __doc__

    def handle(self, *args: object, **options: object) -> None:
        """Register and say what serves."""
        version = register_shipped()
        self.stdout.write(f"{version.name}: {version.get_state_display()}")
