"""Gives a database role what the application needs, and no right to change or delete what is append-only."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, connection, transaction

from skincare.audit.roles import append_only_tables, dangers_of, rights_of


class Command(BaseCommand):
    """``manage.py grant_application_role NAME [--sql]``: as the tables' owner, after each ``migrate``."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The role, and whether to print instead of to do."""
        parser.add_argument("role", help="an existing role that can log in and owns nothing")
        parser.add_argument("--sql", action="store_true", help="print the statements and change nothing")

    def handle(self, *args: object, role: str, sql: bool, **options: object) -> None:
        """Grant, or print what would be granted."""
        statements = rights_of(role)
        if sql:
            connection.ensure_connection()
            for statement in statements:
                self.stdout.write(f"{statement.as_string(connection.connection)};")
            return
        if dangers := dangers_of(role):
            raise CommandError("; ".join(dangers))
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except ProgrammingError as error:
            raise CommandError(f"run this as the owner of the tables: {error}") from error
        self.stdout.write(f"{role} may add to, and not change or delete from: {', '.join(append_only_tables())}")
