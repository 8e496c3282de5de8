"""Wraps every patient's data key under the first of SKINCARE_MASTER_KEYS; can be interrupted and repeated."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from diagnosis.services import data_keys
from skincare.accounts import second_factor
from skincare.encryption import MasterKeyMissing, SealBroken, key_ring


class Command(BaseCommand):
    """``manage.py rotate_keys``. The patients' data are not touched, so it takes seconds for thousands of patients."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--batch", type=int, default=data_keys.BATCH, help="data keys in each transaction")

    def handle(self, *args: object, batch: int, **options: object) -> None:
        """Rotate, and say which old master keys nothing needs any more."""
        if batch < 1:
            raise CommandError(f"--batch {batch}: at least 1 is needed")
        ring = key_ring()
        current = ring.keys[0][0]
        done = 0
        try:
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task(f"Wrapping under {current}", total=None)
                for state in data_keys.rotate(batch=batch):
                    done = state.done
                    progress.update(bar, completed=state.done, total=state.total)
            factors = second_factor.seal_anew()
        except (data_keys.MasterKeysMissing, data_keys.DataKeysDamaged, MasterKeyMissing, SealBroken) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(f"interrupted after {done} data keys; everything opens; run it again to go on") from None
        self.stdout.write(f"{done} data keys wrapped under master key {current!r}; none is left under another.")
        if factors:
            self.stdout.write(f"{factors} secrets of second factors were sealed anew under it, too.")
        for name in data_keys.superseded(ring):
            self.stdout.write(
                f"No data key needs master key {name!r} any more. Remove it from SKINCARE_MASTER_KEYS once every "
                f"process has been started with {current!r} first and this command has found nothing since; keep it "
                "with the backups of wrapped keys that are older than today, until they have been destroyed."
            )
