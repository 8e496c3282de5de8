"""Runs PostgreSQL's own pg_dump and pg_restore: those on the PATH beside a server of one's own, else the wheel's."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from skincare.launch.servers import ServerFailed, postgres_programs

#: How libpq's connection parameters are called in the environment, where `ps` does not show them to everybody.
VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


class ProgramFailed(Exception):
    """A program is missing or failed; the text says what to do or what it said."""


def find(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The program's path.

    Raises:
        ProgramFailed: it is neither on the PATH nor in the wheel.
    """
    own_server = bool(environment.get("DATABASE_URL", "").strip())
    on_path = shutil.which(name, path=environment.get("PATH", os.defpath))
    if own_server and on_path:
        return on_path
    try:
        return str(postgres_programs() / "bin" / name)
    except ServerFailed:
        if on_path:
            return on_path
        raise ProgramFailed(
            f"{name} is not on the PATH. Install the client programs of PostgreSQL, in the server's version or newer "
            "(on Debian and Ubuntu: apt-get install postgresql-client)."
        ) from None


def run(name: str, arguments: Sequence[str], parameters: Mapping[str, object]) -> None:
    """Run one program against one database.

    Args:
        parameters: how libpq connects, as in ``connection.get_connection_params()`` of Django.

    Raises:
        ProgramFailed: with what the program said.
    """
    connect = {VARIABLES[key]: str(value) for key, value in parameters.items() if key in VARIABLES and value}
    inherited = {key: value for key, value in os.environ.items() if key not in VARIABLES.values()}
    program = find(name)
    done = subprocess.run(
        [program, "--no-password", *arguments],
        env={**inherited, **connect, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProgramFailed(f"{program} failed: {done.stderr.strip()[-1500:]}")
