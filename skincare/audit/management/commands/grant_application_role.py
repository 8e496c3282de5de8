"""Gives a database role what the application needs, and no right to change or delete what is append-only."""

from argparse import ArgumentParser

import dj_database_url
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, connection, transaction

from skincare.audit.roles import append_only_tables, dangers_of, make, rights_of


class Command(BaseCommand):
    """``manage.py grant_application_role [NAME] [--sql]``: as the tables' owner, after each ``migrate``."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The role, and whether to print instead of to do."""
        parser.add_argument(
            "role",
            nargs="?",
            help="an existing role that can log in and owns nothing; without it the one of "
            "SKINCARE_APPLICATION_DATABASE_URL, which is made with the password there if it is lacking",
        )
        parser.add_argument("--sql", action="store_true", help="print the statements and change nothing")

    def handle(self, *args: object, role: str | None, sql: bool, **options: object) -> None:
        """Grant, or print what would be granted."""
        told = dj_database_url.parse(settings.APPLICATION_DATABASE_URL) if settings.APPLICATION_DATABASE_URL else {}
        name = role or told.get("USER")
        if not name:
            raise CommandError(
                "name the role, or set SKINCARE_APPLICATION_DATABASE_URL to the URL that it logs in with"
            )
        statements = rights_of(name)
        if sql:
            connection.ensure_connection()
            for statement in statements:
                self.stdout.write(f"{statement.as_string(connection.connection)};")
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                if role is None:
                    make(name, told["PASSWORD"])
                if dangers := dangers_of(name):
                    raise CommandError("; ".join(dangers))
                for statement in statements:
                    cursor.execute(statement)
        except ProgrammingError as error:
            raise CommandError(f"run this as the owner of the tables: {error}") from error
        self.stdout.write(f"{name} may add to, and not change or delete from: {', '.join(append_only_tables())}")
