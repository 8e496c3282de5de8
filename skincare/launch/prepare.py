"""Brings the database up to this code and puts the network and the demo clinic into it; prints the demo's log-ins."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
    import django
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    django.setup()
    executor = MigrationExecutor(connection)
    # `migrate` with nothing to do still writes content types and permissions: 0.5 s of every start.
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0, stdout=sys.stderr)
    call_command("load_demo")


if __name__ == "__main__":
    main()
