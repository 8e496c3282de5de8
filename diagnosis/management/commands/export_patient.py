"""Writes a patient's whole record into a ZIP archive: record.pdf, record.json and the photographs."""

import os
from argparse import ArgumentParser
from pathlib import Path
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from diagnosis.models import Patient
from diagnosis.models.sealed import PatientErased
from diagnosis.services.export import export_patient


class Command(BaseCommand):
    """``manage.py export_patient ID --output FILE.zip``; the file is readable by its owner only."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("patient", type=UUID, metavar="ID", help="the patient's id")
        parser.add_argument("--output", type=Path, required=True, metavar="FILE.zip", help="must not exist yet")

    def handle(self, *args: object, patient: UUID, output: Path, **options: object) -> None:
        """Write the archive; leave nothing behind where that fails."""
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{output} cannot be made: {error.strerror}; name a new file") from error
        try:
            with open(descriptor, "wb") as file:
                export_patient(patient_id=patient, output=file)
        except BaseException as error:
            output.unlink(missing_ok=True)
            if isinstance(error, Patient.DoesNotExist):
                raise CommandError(f"there is no patient {patient}") from None
            if isinstance(error, PatientErased):
                raise CommandError(f"{error}; there is nothing left to export") from None
            raise
        self.stdout.write(f"{output}: the record of patient {patient}, not encrypted; hand it over and delete it")
