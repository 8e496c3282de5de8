"""Shows or erases the patients whose retention period has passed; the scheduled task erases them every hour."""

from argparse import ArgumentParser
from datetime import timedelta
from itertools import groupby

from django.core.management.base import BaseCommand
from django.utils import timezone

from diagnosis.models import RetentionPolicy
from diagnosis.services import retention


class Command(BaseCommand):
    """``manage.py retention --preview [--days 90]`` or ``manage.py retention --enforce``."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--preview", action="store_true", help="change nothing; list ids and when last seen")
        what.add_argument("--enforce", action="store_true", help="erase all of them now")
        parser.add_argument("--days", type=int, default=0, help="with --preview: who will be due in so many days")

    def handle(self, *args: object, preview: bool, days: int, **options: object) -> None:
        """List or erase."""
        if not preview:
            self.stdout.write(f"{retention.enforce(seconds=float('inf'))} patients erased")
            return
        policies = RetentionPolicy.objects.select_related("organisation").order_by("organisation__name")
        for policy in policies:
            self.stdout.write(f"{policy}, counting from {policy.applies_from:%Y-%m-%d}")
        if not policies:
            self.stdout.write("no organisation has a retention policy: nobody is erased by time")
        found = retention.due(at=timezone.now() + timedelta(days=days))
        by_organisation = sorted(found, key=lambda each: (each.organisation.name, each.last_seen))
        for organisation, group in groupby(by_organisation, key=lambda each: each.organisation.name):
            members = list(group)
            self.stdout.write(f"{organisation}: {len(members)} patients due")
            for each in members:
                self.stdout.write(f"  {each.patient_id}  last seen {each.last_seen:%Y-%m-%d}")
