"""Says where the servers at hand keep their data and where they listen; both follow from the folder `var` alone.

Both servers listen on Unix sockets only: no port to collide with, and no other account of the machine gets in.
"""

import hashlib
import os
import shutil
import stat
from pathlib import Path
from urllib.parse import quote

POSTGRES_SOCKET = ".s.PGSQL.5432"
DATABASE = "skincare"
LONGEST_SOCKET_PATH = 103  # bytes; macOS allows 104 with the closing zero, Linux 108


def socket_folder(var: Path) -> Path:
    """The folder of both sockets: `var/run`, or a short one under /tmp where that path is too long for a socket.

    The answer depends on `var` and the account only, so that every process of a checkout finds the same servers.
    """
    folder = var.resolve() / "run"
    longest = folder / "postgres" / f"{POSTGRES_SOCKET}.lock"
    if len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    # make_private refuses a folder that is somebody else's.
    return Path("/tmp") / f"skincare-{os.getuid()}-{digest}"  # nosec B108


def make_private(folder: Path, mode: int = 0o700) -> Path:
    """Creates the folder for this account alone. Raises PermissionError where somebody else owns it already."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{folder} must be a folder owned by this account; remove it and start again.")
    if stat.S_IMODE(status.st_mode) != mode:
        folder.chmod(mode)
    return folder


def make_empty(folder: Path) -> Path:
    """The folder for this account alone, without what an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    return make_private(folder)


def postgres_socket_folder(var: Path) -> Path:
    return socket_folder(var) / "postgres"


def valkey_socket(var: Path) -> Path:
    return socket_folder(var) / "valkey.sock"


def database_url(var: Path, database: str = DATABASE) -> str:
    """The address of the PostgreSQL at hand, as Django and libpq read it."""
    return f"postgresql://postgres@/{database}?host={quote(str(postgres_socket_folder(var)), safe='')}"


def redis_url(var: Path, database: int = 0) -> str:
    """The address of the Valkey at hand, as redis-py reads it."""
    return f"unix://{quote(str(valkey_socket(var)))}?db={database}"
