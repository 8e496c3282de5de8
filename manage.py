#!/usr/bin/env python
"""Runs Django's commands; where PostgreSQL and Valkey at hand do not run, they run for as long as the command does."""

import os
import signal
import sys
from types import FrameType

# These work on files alone, or read photographs from the command line, and start in half the time without servers.
WITHOUT_SERVERS = frozenset(
    {"analyse", "check", "collectstatic", "diffsettings", "findstatic", "help", "spectacular", "train", "version"}
)


def _leave(signal_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal_number)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
    from django.core.management import execute_from_command_line

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    local = os.environ["DJANGO_SETTINGS_MODULE"] == "skincare.settings.local"
    if not local or command in WITHOUT_SERVERS or "--help" in sys.argv:
        execute_from_command_line(sys.argv)
        return

    from django.conf import settings

    from skincare.launch.servers import ServerFailed, Servers

    signal.signal(signal.SIGTERM, _leave)
    try:
        with Servers.wanted(settings.VAR).borrowed():
            execute_from_command_line(sys.argv)
    except ServerFailed as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
