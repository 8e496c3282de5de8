"""Erases a patient for good: destroys the data key and what identifies; the cases stay as a snapshot."""

from argparse import ArgumentParser
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from diagnosis.models import Case, Erasure, ErasureReason, Patient
from diagnosis.services.erasure import erase_patient


class Command(BaseCommand):
    """``manage.py erase_patient ID --reason patient_request``; asks first, and cannot be undone."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("patient", type=UUID, metavar="ID", help="the patient's id")
        parser.add_argument("--reason", choices=ErasureReason.values, required=True, help="kept in the ledger")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: object, patient: UUID, reason: str, yes: bool, **options: object) -> None:
        """Ask, and erase."""
        if not Patient.objects.filter(pk=patient).exists():
            raise CommandError(f"there is no patient {patient}")
        known = Erasure.objects.filter(pk=patient).first()
        if known is None and not yes:
            cases = Case.objects.filter(patient=patient).count()
            question = (
                f"Erase patient {patient} with {cases} cases for good? Nothing brings the data back. Type 'erase': "
            )
            if input(question) != "erase":
                raise CommandError("nothing was erased")
        tombstone = erase_patient(patient_id=patient, reason=ErasureReason(reason))
        before = "" if known is None else " (it was erased before)"
        self.stdout.write(f"patient {patient}: erased at {tombstone.erased_at:%Y-%m-%d %H:%M} UTC{before}")
