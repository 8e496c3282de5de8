"""Checks that nothing in the audit record was removed, changed, reordered or inserted since it was sealed."""

import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm  # type: ignore[import-untyped]

from skincare.audit.verification import Tail, Tampered, Verified, verify

#: An event older than this and not sealed is worth a look.
PATIENCE: Final = timedelta(minutes=1)


class Command(BaseCommand):
    """``manage.py verify_audit [--head HASH]... [--print-head]``; ends with 1 where it was tampered with."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Heads to check against, and whether to print the present one."""
        parser.add_argument(
            "--head",
            action="append",
            default=[],
            metavar="HASH",
            help="a head that was kept elsewhere and must be in the chain; can be given several times",
        )
        parser.add_argument(
            "--print-head",
            action="store_true",
            help="print nothing but the hash of the last seal: keep it where nobody of this server can change it",
        )

    def handle(self, *args: object, head: list[str], print_head: bool, **options: object) -> None:
        """Verify and report."""
        with tqdm(unit=" events", disable=None, file=sys.stderr, leave=False) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                verified = verify(head, progress)
            except (Tampered, ValueError) as error:
                raise CommandError(str(error)) from error
        if print_head:
            if not verified.head:
                raise CommandError("nothing is sealed yet, so there is no head")
            self.stdout.write(verified.head)
            return
        self.stdout.write(_report(verified))
        self.stdout.write(_report_tail(verified.tail))


def _report(verified: Verified) -> str:
    if not verified.seals:
        return "Nothing is sealed yet."
    return (
        f"{verified.events} events in {verified.seals} seals: none removed, changed, reordered or inserted.\n"
        f"Head: {verified.head}"
    )


def _report_tail(tail: Tail) -> str:
    if tail.age is None:
        return "Everything is sealed."
    text = f"Not sealed yet: {tail.count}, the oldest since {tail.age.total_seconds():.0f} s."
    if tail.age > PATIENCE:
        text += " Is the sealer running (task audit.seal_events on the queue `default`), or a transaction stuck?"
    return text
