"""``manage.py build_confirmed_cases``: the dataset of today's confirmed cases with consent to research."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.services.confirmed_cases import NothingConfirmed, build_confirmed_cases


class Command(BaseCommand):
    """Build the dataset of confirmed cases."""

    help = "Build the dataset of confirmed cases whose patients consent to research; it replaces the one before."

    def handle(self, *args: Any, **options: Any) -> None:
        """Build it and tell what was left out and which labels somebody should check."""
        try:
            dataset = build_confirmed_cases(user=None)
        except NothingConfirmed as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(f"{dataset}: {dataset.lesions} patients")
        for reason, number in sorted(dataset.findings["left_out"].items()):
            self.stdout.write(f"left out, {reason}: {number}")
        for row in dataset.findings["suspicious"]:
            self.stdout.write(
                f"to check: {row['image']} is labelled {row['label']}, the others say {row['others_say']} "
                f"({100 * row['chance_of_label']:.1f} % for the label)"
            )
