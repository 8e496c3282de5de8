"""`make up`: starts everything, says where it is, starts again what dies, and stops all of it on Ctrl-C."""

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from skincare.launch import places, prepare, secrets
from skincare.launch.children import Child
from skincare.launch.servers import ServerFailed, Servers

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
DEFAULT_PORT = 8000
READY_SECONDS = 90.0
GRACE_SECONDS = 15.0
DEATHS_BEFORE_GIVING_UP = 3
TICK_SECONDS = 0.1


class NotStarted(Exception):
    """The start was given up; the text says why and what to do."""


class Stop:
    """Whether somebody asked to stop: once politely, twice at once."""

    def __init__(self) -> None:
        self.asked = 0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked += 1


def number_from(environment: Mapping[str, str], name: str, default: int, largest: int) -> int:
    """A number from 1 to `largest` that the environment may give. Raises NotStarted."""
    wanted = environment.get(name, "").strip() or str(default)
    if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted) <= largest:
        raise NotStarted(f"{name}={wanted}: a number from 1 to {largest} is needed, as in: {name}={default} make up")
    return int(wanted)


def check_free(port: int) -> None:
    """Raises NotStarted where the port is taken or not ours to take."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise NotStarted(f"Port {port} needs root. Choose another, as in: PORT=8001 make up") from None
        except OSError:
            other = port + 1 if port < 65535 else port - 1
            raise NotStarted(
                f"Port {port} is taken by another program. Stop that one, or choose another: PORT={other} make up"
            ) from None


@contextmanager
def only_one(var: Path, address: str) -> Iterator[None]:
    """Holds the checkout for this launcher. Raises NotStarted where another one runs in it."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise NotStarted(
                f"It runs already in this folder ({lock.read().strip()}). Stop it there with Ctrl-C, or give a second "
                "one a folder of its own: SKINCARE_VAR=/path/to/var2 PORT=8001 make up"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {address}")
        lock.flush()
        yield


def record_in(var: Path) -> Path:
    """The file that names the processes started."""
    return var / "children.json"


def end_leftovers(record: Path) -> None:
    """Ends web and workers of a launcher that was killed before it could: they would hold the port and the queue."""
    try:
        left: list[tuple[int, float]] = json.loads(record.read_text())
    except (OSError, ValueError):
        return
    ended: list[psutil.Process] = []
    for pid, born in left:
        try:
            process = psutil.Process(pid)
            # A process number alone may meanwhile belong to anybody.
            if process.create_time() == born:
                ended += [process, *process.children(recursive=True)]
                os.killpg(pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    psutil.wait_procs(ended, timeout=GRACE_SECONDS)  # each of them may hold the port
    record.unlink(missing_ok=True)


def remember(record: Path, children: Iterable[Child]) -> None:
    """Writes down which processes run, for `end_leftovers` of a later start."""
    alive = []
    for child in children:
        try:
            if child.pid is not None:
                alive.append((child.pid, psutil.Process(child.pid).create_time()))
        except psutil.NoSuchProcess:
            continue
    record.write_text(json.dumps(alive))


def programs(port: int, inference_workers: int) -> dict[str, list[str]]:
    """The programs to run: web, the workers that read photographs, sweep and train, and the clock that bids them."""
    celery = [sys.executable, "-m", "celery", "--app=skincare"]
    worker = [*celery, "worker", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    return {
        "inference": [
            *worker, "--queues=inference", f"--concurrency={inference_workers}", "--hostname=inference@%h",
        ],
        "default": [*worker, "--queues=default", "--concurrency=1", "--hostname=default@%h"],
        # In a thread: it only looks after the process that trains, which is the one that takes memory and time.
        "training": [*worker, "--queues=training", "--pool=threads", "--concurrency=1", "--hostname=training@%h"],
        # A process of its own: inside a worker (--beat) its death would go unnoticed, and the sweep with it.
        "clock": [*celery, "beat", "--scheduler=celery.beat.Scheduler", "--pidfile="],
        "web": [
            sys.executable, "-m", "gunicorn", "skincare.wsgi", f"--bind={HOST}:{port}", "--preload", "--workers=2",
            "--worker-class=gthread", "--threads=4", "--timeout=60", "--graceful-timeout=10", "--no-control-socket",
            "--log-level=warning",
        ],
    }  # fmt: skip


class Launch:
    """One run of everything, from the first server to the last farewell."""

    def __init__(self, var: Path, port: int, stop: Stop) -> None:
        self.var = var
        self.port = port
        self.stop = stop
        self.logs = places.make_private(var / "log")
        self.record = record_in(var)
        self.environment = {
            **os.environ,
            "SKINCARE_VAR": str(var),
            "DJANGO_SETTINGS_MODULE": "skincare.settings.local",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PROMETHEUS_MULTIPROC_DIR": str(places.make_empty(var / "metrics")),
        }
        workers = number_from(os.environ, "SKINCARE_INFERENCE_WORKERS", 1, 64)
        self.children = {
            name: Child(name, command, self.environment, self.logs / f"{name}.log")
            for name, command in programs(port, workers).items()
        }

    def prepare(self) -> str:
        """Prepares the database where that is needed. The demo's log-ins. Raises NotStarted."""
        url = os.environ.get("DATABASE_URL", "").strip() or places.database_url(self.var)
        note = self.var / "secrets" / "prepared.json"
        files = prepare.state_of_files()
        said = prepare.remembered(note, files, prepare.state_of_database(url))
        if said is None:
            said = self._prepare()
            if not self.stop.asked:
                prepare.remember(note, files, prepare.state_of_database(url), said)
        return said

    def _prepare(self) -> str:
        log = self.logs / "prepare.log"
        with log.open("wb") as errors:
            preparation = subprocess.Popen(
                [sys.executable, "-m", "skincare.launch.prepare"],
                env=self.environment, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, text=True,
            )  # fmt: skip
            while preparation.poll() is None:
                if self.stop.asked:
                    preparation.terminate()
                time.sleep(TICK_SECONDS)
            said, _ = preparation.communicate()
        if preparation.returncode and not self.stop.asked:
            reason = (log.read_text().strip().splitlines() or ["no reason given"])[-1]
            raise NotStarted(f"The database could not be prepared: {reason}\nMore in {log}")
        return "\n".join(f"  {line}" for line in said.splitlines() if "@" in line)

    def start(self) -> None:
        """Starts web and inference, and the sweeper once those answer: three at once delay one another on two cores.

        Raises NotStarted.
        """
        first = [self.children["inference"], self.children["web"]]
        self._start(first)
        self._wait_until_ready(first)
        if not self.stop.asked:
            self._start([self.children["default"], self.children["clock"], self.children["training"]])

    def _start(self, children: list[Child]) -> None:
        for child in children:
            child.start()
        remember(self.record, self.children.values())

    def _wait_until_ready(self, children: list[Child]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.stop.asked:
            missing = self._missing()
            if not missing:
                return
            for child in children:
                if problem := child.tend():
                    say(problem)
                    say(child.last_words())
                if child.deaths >= DEATHS_BEFORE_GIVING_UP:
                    raise NotStarted(
                        f"{child.name} does not stay alive; its log says why: {self.logs / child.name}.log"
                    )
            if time.monotonic() > deadline:
                raise NotStarted(f"Not ready within {READY_SECONDS:.0f} s. {' '.join(missing.values())}")
            time.sleep(TICK_SECONDS)

    def _missing(self) -> dict[str, str]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            answer: dict[str, dict[str, str]] = json.loads(connection.getresponse().read())
            return answer["missing"]
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return {"web": f"The web server does not answer yet; its log: {self.logs / 'web.log'}"}
        finally:
            connection.close()

    def look_after(self) -> None:
        """Starts again what dies and shows what goes wrong, until somebody asks to stop."""
        while not self.stop.asked:
            for child in self.children.values():
                before = child.pid
                if problem := child.tend():
                    say(problem)
                for line in child.problems():
                    say(f"{child.name} | {line}")
                if child.pid != before:
                    remember(self.record, self.children.values())
            time.sleep(TICK_SECONDS)

    def end(self) -> None:
        """Stops web first, so that nothing new comes in, then the workers, which finish what they read."""
        for names in (["web"], ["clock", "default", "training", "inference"]):
            group = [self.children[name] for name in names]
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + GRACE_SECONDS
            while any(not child.stopped() for child in group):
                if self.stop.asked > 1 or time.monotonic() > deadline:
                    for child in group:
                        child.kill()
                time.sleep(TICK_SECONDS / 2)
        self.record.unlink(missing_ok=True)


def say(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone; what was started still has to be stopped
        print(text, flush=True)


def run() -> None:
    """Runs until somebody asks to stop. Raises NotStarted or ServerFailed."""
    began = time.monotonic()
    stop = Stop()
    stop.listen()
    var = Path(os.environ.get("SKINCARE_VAR", "").strip() or ROOT / "var").resolve()
    port = number_from(os.environ, "PORT", DEFAULT_PORT, 65535)
    address = f"http://{HOST}:{port}/"
    with only_one(var, address):
        end_leftovers(record_in(var))
        check_free(port)
        secrets.keep(var / "secrets")
        say("Starting …")
        with Servers.wanted(var).borrowed():
            launch = Launch(var, port, stop)
            try:
                logins = launch.prepare()
                if not stop.asked:
                    launch.start()
                if not stop.asked:
                    say(f"Ready after {time.monotonic() - began:.1f} s: {address}")
                    say(f"API: {address}api/docs/   Status: {address}readyz   Logs: {launch.logs}")
                    say(f"Demonstration log-ins:\n{logins}")
                    say("Ctrl-C stops everything.")
                launch.look_after()
                say("Stopping …")
            finally:
                launch.end()
        say("Stopped.")


def main() -> None:
    try:
        run()
    except (NotStarted, ServerFailed) as reason:
        sys.exit(f"\n{reason}")


if __name__ == "__main__":
    main()
