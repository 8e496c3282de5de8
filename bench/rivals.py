"""The platform against the network behind a plain web server: the same photographs, as many processes, in turns.

    python -m bench.rivals [--short]

One server runs at a time; each round starts them one after the other and sends the same photographs with 1, 10 and 50
clients. The bare servers answer in the response. The platform accepts in the response, and its answer is in the
database some time later: its throughput counts until the last answer is stored, and its latency is told twice, until
accepted and until answered.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import django
import numpy as np
import psutil
import psycopg2

from bench import api, load, page, stages
from bench.environment import comparison_python
from bench.processes import processes_of, processor_seconds, wait_until_at_rest
from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, WEIGHTS
from skincare.launch import places

PHOTOGRAPHS: Final = Path(__file__).resolve().parent.parent / "diagnosis" / "demo"
PLATFORM: Final = "this platform"
ONNX: Final = "FastAPI, ONNX Runtime"
#: Web and inference of `make up`: two processes that take requests and one that reads.
PROCESSES: Final = 3
#: Photographs, and requests with 1, 10 and 50 clients in a round.
CLIENTS: Final = (1, 10, 50)
REQUESTS: Final = {"600x450": (40, 120, 200), "12 megapixels": (8, 30, 60)}
WARM_UP: Final = 6


@dataclass(frozen=True)
class Measured:
    """One server, one size, one number of clients, one round."""

    throughput: float
    """Cases a second, until the last answer."""
    accepted: tuple[float, float, float]
    """p50, p95, p99 in ms until the response."""
    answered: tuple[float, float, float]
    """The same until the answer is there; for the bare servers that is the response."""
    processor: float
    """Milliseconds of processor time a case, of all processes of the server, also of what they do between cases."""


def photographs() -> dict[str, list[bytes]]:
    """The demonstration's photographs as they are, and as a phone of 12 megapixels would deliver them."""
    paths = sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))
    return {
        "600x450": [path.read_bytes() for path in paths],
        "12 megapixels": [stages.camera_photograph(path) for path in paths[:3]],
    }


def http_request(path: str, body: bytes, content_type: str, **headers: str) -> bytes:
    """Bytes of a POST on a connection that stays open."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {content_type}"]
    lines += [f"Content-Length: {len(body)}", *(f"{name.replace('_', '-')}: {said}" for name, said in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bare_request(photograph: bytes) -> bytes:
    """A form with one photograph."""
    boundary = uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="p.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + photograph + f"\r\n--{boundary}--\r\n".encode()
    return http_request("/predict", body, f"multipart/form-data; boundary={boundary}")


# --- Servers ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Bare:
    """One of the rivals."""

    port: int
    pid: int

    def processes(self) -> list[psutil.Process]:
        """It and all that it has started."""
        main = psutil.Process(self.pid)
        return [main, *main.children(recursive=True)]


@contextmanager
def bare_server(name: str, python: str, onnx: Path) -> Iterator[Bare]:
    """One of the rivals, ready to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    uvicorn = [python, "-m", "uvicorn", "--factory", f"--port={port}", f"--workers={PROCESSES}", "--log-level=warning",
               "--no-access-log"]  # fmt: skip
    command = {
        ONNX: [*uvicorn, "bench.bare_servers:onnx_app"],
        "FastAPI, model.predict": [*uvicorn, "bench.bare_servers:predict_app"],
        "LitServe, ONNX Runtime": [python, "-m", "bench.bare_servers", str(port), str(PROCESSES)],
    }[name]
    weights = BUNDLES / shipped.SHIPPED_BUNDLE / WEIGHTS
    environment = os.environ | {
        "BENCH_MODEL": str(weights if "predict" in name else onnx),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        small = sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))[0].read_bytes()
        end = time.monotonic() + api.START_SECONDS
        while True:
            try:
                load.send(port, [bare_request(small)], 1)
                break
            except (OSError, RuntimeError, EOFError):
                if time.monotonic() > end or process.poll() is not None:
                    raise RuntimeError(f"{name} did not become ready") from None
                time.sleep(0.2)
        time.sleep(2)  # until the other processes have opened the network too
        yield Bare(port, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        # LitServe leaves its workers behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Platform:
    """Our own server, as `make up` starts it; cases are asked for in its database."""

    def __init__(self, var: Path, port: int) -> None:
        self.port = port
        self.var = var
        self.database = psycopg2.connect(places.database_url(var))
        self.database.autocommit = True
        password = (var / "secrets" / "demo-password").read_text().strip()
        login = json.dumps({"email": "clinician@demo.example", "password": password}).encode()
        _, token = api.ask(port, "POST", "/api/v1/auth/token/", login, Content_Type="application/json")
        self.authorization = f"Token {token['token']}"

    def request(self, photograph: bytes) -> tuple[str, bytes]:
        """A case of a new patient: its id, and the bytes that submit it."""
        key = str(uuid4())
        body, content_type = api.submission(photograph)
        return key, http_request(
            "/api/v1/cases/", body, content_type, Authorization=self.authorization, Idempotency_Key=key
        )

    def finished(self, cases: Sequence[str]) -> dict[str, float]:
        """When the analysis of each case came to its end, by the machine's clock; waits until all have.

        Raises:
            RuntimeError: one was lost or failed, or had no answer within a minute.
        """
        end = time.monotonic() + 60
        while True:
            with self.database.cursor() as cursor:
                cursor.execute(
                    "SELECT case_id::text, extract(epoch FROM finished_at), state FROM diagnosis_analysis"
                    " WHERE case_id = ANY(%s::uuid[])",
                    [list(cases)],
                )
                rows = cursor.fetchall()
            if len(rows) == len(cases) and all(state in ("answered", "abstained") for _, _, state in rows):
                return {case: float(at) for case, at, _ in rows}
            if time.monotonic() > end:
                raise RuntimeError(f"of {len(cases)} cases {len(rows)} are there: {[row[2] for row in rows]}")
            time.sleep(0.02)


# --- Measuring --------------------------------------------------------------------------------------------------------
def measure_bare(server: Bare, uploads: list[bytes], count: int, clients: int) -> Measured:
    """Send `count` photographs to a bare server."""
    requests = [bare_request(uploads[number % len(uploads)]) for number in range(count)]
    before = processor_seconds(server.processes())
    run = load.send(server.port, requests, clients)
    used = processor_seconds(server.processes()) - before
    return Measured(count / run.seconds, run.quantiles(), run.quantiles(), used * 1000 / count)


def measure_platform(platform: Platform, uploads: list[bytes], count: int, clients: int) -> Measured:
    """Submit `count` cases, and wait until all are answered."""
    cases = [platform.request(uploads[number % len(uploads)]) for number in range(count)]
    before = processor_seconds(processes_of(platform.var))
    run = load.send(platform.port, [request for _, request in cases], clients)
    finished = platform.finished([case for case, _ in cases])
    used = processor_seconds(processes_of(platform.var)) - before
    begin = min(answer.began for answer in run.answers)
    waited = [(finished[cases[answer.number][0]] - answer.began) * 1000 for answer in run.answers]
    middle, high, highest = np.quantile(waited, [0.5, 0.95, 0.99])
    seconds = max(max(finished.values()) - begin, run.seconds)
    answered = (float(middle), float(high), float(highest))
    return Measured(count / seconds, run.quantiles(), answered, used * 1000 / count)


Key = tuple[str, str, int]


def one_round(var: Path, python: str, onnx: Path, taken: dict[Key, list[Measured]], backwards: bool) -> None:
    """Every server once; the order is turned round from round to round."""
    uploads = photographs()
    names = [PLATFORM, ONNX, "LitServe, ONNX Runtime", "FastAPI, model.predict"]
    for name in reversed(names) if backwards else names:
        if name == PLATFORM:
            with api.platform(var) as port:
                wait_until_at_rest(var)
                platform = Platform(var, port)
                measure_platform(platform, uploads["600x450"], 5 * WARM_UP, 8)
                for size, counts in REQUESTS.items():
                    for clients, count in zip(CLIENTS, counts, strict=True):
                        measured = measure_platform(platform, uploads[size], count, clients)
                        taken.setdefault((name, size, clients), []).append(measured)
                platform.database.close()
            continue
        with bare_server(name, python, onnx) as server:
            measure_bare(server, uploads["600x450"], 5 * WARM_UP, 8)
            for size, counts in REQUESTS.items():
                for clients, count in zip(CLIENTS, counts, strict=True):
                    measured = measure_bare(server, uploads[size], count, clients)
                    taken.setdefault((name, size, clients), []).append(measured)


def report(taken: dict[Key, list[Measured]]) -> str:
    """A table for each size of photograph."""
    tables = []
    for size in REQUESTS:
        rows = []
        for clients in CLIENTS:
            ours = taken[PLATFORM, size, clients]
            for name in dict.fromkeys(key[0] for key in taken):
                theirs = taken[name, size, clients]
                ratio = statistics.median(
                    one.throughput / other.throughput for one, other in zip(ours, theirs, strict=True)
                )
                said = [" / ".join(f"{statistics.median(each[place] for each in which):,.0f}" for place in range(3))
                        for which in ([one.accepted for one in theirs], [one.answered for one in theirs])]  # fmt: skip
                rows.append([
                    f"{clients} client{'s' * (clients > 1)}: {name}",
                    f"{statistics.median(one.throughput for one in theirs):.1f}",
                    "" if name == PLATFORM else f"{ratio:.2f}",
                    f"{statistics.median(one.processor for one in theirs):.0f}",
                    said[0],
                    said[1] if name == PLATFORM else "the same",
                ])  # fmt: skip
        head = [
            size,
            "cases a second",
            "ours to theirs",
            "processor ms a case",
            "ms to the response, p50 / p95 / p99",
            "ms to the answer",
        ]
        tables.append(page.table(head, rows))
    return "\n\n".join(tables)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round instead of three")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    os.environ["SKINCARE_RATE_SUBMISSIONS"] = "1000000/min"
    python = comparison_python()
    taken: dict[Key, list[Measured]] = {}
    rounds = 1 if options.short else 3
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        os.environ |= {"SKINCARE_VAR": folder, "DJANGO_SETTINGS_MODULE": "skincare.settings.local"}
        django.setup()  # for the example of a case
        onnx = Path(folder) / "network.onnx"
        export = f"from pathlib import Path; from bench.forward import export_onnx; export_onnx(Path({str(onnx)!r}))"
        subprocess.run([python, "-c", export], check=True, stdout=sys.stderr)
        for number in range(rounds):
            one_round(Path(folder) / "platform", python, onnx, taken, backwards=bool(number % 2))
    print(page.conditions(before, f"medians of {rounds} rounds; ratios round by round; {PROCESSES} processes each"))
    print(f"\n{report(taken)}")


if __name__ == "__main__":
    main()
