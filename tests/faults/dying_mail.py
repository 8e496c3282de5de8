"""Ways of sending mail that die: ``python -m tests.faults.dying_mail before|after``, with a platform's settings."""

import os
import signal
import sys
from collections.abc import Sequence

import django
from django.conf import settings
from django.core.mail.backends.filebased import EmailBackend
from django.core.mail.message import EmailMessage


class DiesBefore(EmailBackend):
    """The process is killed before the mail is handed over."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Never returns."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class DiesAfter(EmailBackend):
    """The process is killed once the mail is handed over and nobody has noted it yet."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Never returns."""
        super().send_messages(email_messages)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


if __name__ == "__main__":
    django.setup()
    settings.EMAIL_BACKEND = {
        "before": "tests.faults.dying_mail.DiesBefore",
        "after": "tests.faults.dying_mail.DiesAfter",
    }[sys.argv[1]]
    from diagnosis.services import notifications

    notifications.send_due()
