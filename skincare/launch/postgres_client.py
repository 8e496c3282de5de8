"""Runs PostgreSQL's own pg_dump and pg_restore, from the PATH or from the wheel, whichever suits the server."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
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


def find(name: str, server: int, path: str | None = None) -> str:
    """The program for a server of one major version: as old as it may be, but not older than the server.

    An older one refuses; a much newer one writes what an older server does not understand.

    Args:
        path: where to look, besides the wheel; the PATH unless given.

    Raises:
        ProgramFailed: there is none.
    """
    found = {program: major for program in _candidates(name, path) if (major := _major(program))}
    suitable = [program for program, major in found.items() if major >= server]
    if not suitable:
        older = ", ".join(f"{program} is of version {major}" for program, major in found.items())
        raise ProgramFailed(
            f"{name} of PostgreSQL {server} or newer is needed{f'; {older}' if older else ''}. Install the client "
            f"programs of the server's version (on Debian and Ubuntu: apt-get install postgresql-client-{server})."
        )
    return min(suitable, key=lambda program: found[program])


def _candidates(name: str, path: str | None) -> list[str]:
    candidates = [shutil.which(name, path=path)]
    with suppress(ServerFailed):
        candidates.append(str(postgres_programs() / "bin" / name))
    return [program for program in candidates if program]


def _major(program: str) -> int | None:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(version[1]) if version else None


def run(name: str, arguments: Sequence[str], parameters: Mapping[str, object], *, server: int) -> None:
    """Run one program against one database.

    Args:
        server: major version of PostgreSQL there.
        parameters: how libpq connects, as in ``connection.get_connection_params()`` of Django.

    Raises:
        ProgramFailed: with what the program said.
    """
    connect = {VARIABLES[key]: str(value) for key, value in parameters.items() if key in VARIABLES and value}
    inherited = {key: value for key, value in os.environ.items() if key not in VARIABLES.values()}
    program = find(name, server)
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
