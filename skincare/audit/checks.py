"""Whether the application could rewrite its own record, as ``manage.py check --deploy --database default`` tells."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connection

from skincare.audit.roles import dangers_of


@register(Tags.database, deploy=True)
def the_role_owns_nothing(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warns where the role of this connection could switch off what keeps the record append-only."""
    if connection.alias not in (databases or ()):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        dangers = dangers_of(cursor.fetchone()[0])
    return [
        Warning(
            f"The application can rewrite the audit record: {danger}.",
            hint="Give every process but the one that migrates a role that owns nothing: docs/audit.md, Rights.",
            id="skincare.W001",
        )
        for danger in dangers
    ]
