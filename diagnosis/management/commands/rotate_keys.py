"""Moves everything to the first of SKINCARE_MASTER_KEYS and of SKINCARE_INDEX_KEY; can be interrupted and repeated."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from diagnosis.services import data_keys, index_keys, webhooks
from skincare.accounts import second_factor
from skincare.encryption import MasterKeyMissing, SealBroken, key_ring


class Command(BaseCommand):
    """``manage.py rotate_keys``. Photographs and texts are not touched: seconds for thousands of patients."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--batch", type=int, default=data_keys.BATCH, help="patients in each transaction")

    def handle(self, *args: object, batch: int, **options: object) -> None:
        """Rotate, and say which old keys nothing needs any more."""
        if batch < 1:
            raise CommandError(f"--batch {batch}: at least 1 is needed")
        current = key_ring().keys[0][0]
        wrapped = indexed = 0
        try:
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task(f"Wrapping under {current}", total=None)
                for state in data_keys.rotate(batch=batch):
                    wrapped = state.done
                    progress.update(bar, completed=state.done, total=state.total)
                factors = second_factor.seal_anew()
                secrets = webhooks.seal_secrets_anew()
                bar = progress.add_task("Indexing under the current index key", total=None)
                for state in index_keys.rotate(batch=batch):
                    indexed = state.done
                    progress.update(bar, completed=state.done, total=state.total)
        except (
            data_keys.MasterKeysMissing,
            data_keys.DataKeysDamaged,
            index_keys.PatientsNotIndexed,
            MasterKeyMissing,
            SealBroken,
        ) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(
                f"interrupted after {wrapped} data keys and {indexed} patients; everything opens and everybody is "
                "found; run it again to go on"
            ) from None
        self.stdout.write(f"{wrapped} data keys wrapped under master key {current!r}; none is left under another.")
        if factors:
            self.stdout.write(f"{factors} secrets of second factors were sealed anew under it, too.")
        if secrets:
            self.stdout.write(f"{secrets} secrets of webhooks were sealed anew under it, too; they stay the same.")
        self.stdout.write(f"{indexed} patients indexed under the current index key; none is left under another.")
        self._say_what_can_go()

    def _say_what_can_go(self) -> None:
        for name in data_keys.superseded(key_ring()):
            self.stdout.write(
                f"No data key needs master key {name!r} any more. Remove it from SKINCARE_MASTER_KEYS once every "
                f"process has been started with {key_ring().keys[0][0]!r} first and this command has found nothing "
                "since; keep it with the backups of wrapped keys that are older than today, until they have been "
                "destroyed."
            )
        for number in index_keys.superseded():
            self.stdout.write(
                f"No patient needs key {number} of SKINCARE_INDEX_KEY any more. Remove it once every process has been "
                "started with the current one first and this command has found nothing since."
            )
