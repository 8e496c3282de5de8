"""Shows the public key of SKINCARE_RELEASE_KEY, for SKINCARE_RELEASE_PUBLIC_KEYS of workers; makes a new pair."""

import base64
import os
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from diagnosis.classifier.bundle import BundleRefused
from diagnosis.classifier.signature import KEY_BYTES, public_key_of
from diagnosis.services import model_versions


class Command(BaseCommand):
    """``manage.py release_key [--new | --sign-again]``. The configured private key is never shown."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--sign-again", action="store_true", help="sign what was released here with the present key, after a change"
        )
        parser.add_argument("--new", action="store_true", help="make a new pair and show both; nothing is stored")

    def handle(self, *args: object, new: bool, sign_again: bool, **options: object) -> None:
        """Show it, or sign again."""
        if sign_again:
            try:
                signed = model_versions.sign_again()
            except (model_versions.ReleaseKeyMissing, BundleRefused) as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"Signed with the present key: {', '.join(signed) or 'nothing was released here'}")
            return
        private = os.urandom(KEY_BYTES) if new else settings.SKINCARE_RELEASE_KEY
        if private is None:
            raise CommandError("SKINCARE_RELEASE_KEY is not set here; --new makes one")
        if new:
            self.stdout.write(f"SKINCARE_RELEASE_KEY={_text(private)}")
        self.stdout.write(f"SKINCARE_RELEASE_PUBLIC_KEYS={_text(public_key_of(private))}")


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
