"""Loads a demonstration: two organisations, five log-ins and some cases with real photographs."""

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from diagnosis.services import demo
from diagnosis.services.bell import ring
from diagnosis.services.demo_history import TASK
from diagnosis.services.model_versions import register_shipped


class Command(BaseCommand):
    """``manage.py load_demo [--history]``; can be repeated. Never on a server with real patients."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--history", action="store_true", help="let a worker add half a year of answered referrals")

    def handle(self, *args: object, history: bool = False, **options: object) -> None:
        """Load what is missing and print the log-ins."""
        if not settings.DEMO_ALLOWED:
            raise CommandError("the demonstration is not for production: its log-ins are known (DEMO_ALLOWED is off)")
        version = register_shipped()
        password = demo_password(Path(settings.VAR) / "secrets" / "demo-password")
        demo.ensure_policy()
        demo.ensure_people(password)
        demo.ensure_reference_set()
        new_cases = demo.ensure_cases()
        new_referrals = demo.ensure_referrals()
        if history:
            ring(TASK, queue="default")
        self.stdout.write(f"network {version.name}; {new_cases} new demo cases, {new_referrals} new referrals")
        clinic = (demo.CLINICIAN, demo.DERMATOLOGIST, demo.ADMINISTRATOR)
        for person in (*clinic, demo.STEWARD, demo.SECOND_STEWARD, demo.OPERATOR):
            self.stdout.write(f"{person.email:28} {password}")


def demo_password(path: Path) -> str:
    """The one password of all demo log-ins, made on first use and readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(12) + "\n")
    return path.read_text().strip()
