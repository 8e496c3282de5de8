"""The rights of the application's database role: it may add to append-only tables, and neither change nor empty them.

The role that owns the tables (and migrates) can switch triggers off; the application must therefore use another one.
"""

from collections.abc import Sequence

from django.db import connection
from psycopg2 import sql
from psycopg2.extensions import encrypt_password


def append_only_tables() -> list[str]:
    """Tables whose rows the database refuses to change: those with the trigger that says so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE t.tgfoid = 'skincare_refuse_change'::regproc AND c.relnamespace = 'public'::regnamespace "
            "ORDER BY c.relname"
        )
        return [name for (name,) in cursor.fetchall()]


def rights_of(role: str) -> Sequence[sql.Composed]:
    """The statements that give ``role`` what the application needs of this database and take everything else away."""
    name = sql.Identifier(role)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        database = sql.Identifier(cursor.fetchone()[0])
    append_only = sql.SQL(", ").join(sql.Identifier("public", table) for table in append_only_tables())
    return [
        sql.SQL(text).format(role=name, database=database, append_only=append_only)
        for text in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC",
            "REVOKE CREATE ON SCHEMA public FROM {role}, PUBLIC",
            "GRANT CONNECT ON DATABASE {database} TO {role}",
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "REVOKE UPDATE, DELETE ON {append_only} FROM {role}",
            "REVOKE INSERT, UPDATE, DELETE ON public.django_migrations FROM {role}",
        )
    ]


def make(role: str, password: str) -> None:
    """Make a role that can log in, unless there is one of that name. The server is sent the password's digest only.

    Raises:
        ProgrammingError: the role of this connection may not make others.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            digest = encrypt_password(password, role, connection.connection)
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(role)), [digest])


def dangers_of(role: str) -> list[str]:
    """What makes the rights worthless: the role is a superuser, owns tables, or may become one who does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
        row = cursor.fetchone()
        if row is None:
            return [f"there is no role {role!r}; make one: CREATE ROLE {role} LOGIN PASSWORD '…'"]
        found = [f"{role!r} is a superuser"] if row[0] else []
        cursor.execute(
            "SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class c "
            "WHERE c.relnamespace = 'public'::regnamespace AND pg_has_role(%s, c.relowner, 'MEMBER') ORDER BY 1",
            [role],
        )
        return found + [f"{role!r} is or may become {owner!r}, who owns the tables" for (owner,) in cursor.fetchall()]
