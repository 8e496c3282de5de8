"""What a clinician waits for: POST of a photograph until 201, and from there until the answer can be fetched.

A whole platform is started with the project's own launcher in a folder of its own; one client, nothing else to do.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.stages import Timing, timing_of

START_SECONDS = 120.0


@dataclass(frozen=True)
class ApiTimings:
    """Milliseconds, over all rounds."""

    post: Timing
    """From the first byte sent until 201."""
    answer: Timing
    """From 201 until the answer was fetched, asking every 10 ms."""


@contextmanager
def platform(var: Path) -> Iterator[int]:
    """Start everything with ``make up``'s own program; gives the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "skincare.launch.up"],
        env=os.environ | {"SKINCARE_VAR": str(var), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        end = time.monotonic() + START_SECONDS
        while ask(port, "GET", "/readyz")[0] != 200:
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(f"the platform did not become ready; see {var}/log")
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    """One request on a connection of its own. Status 0 where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
    except OSError:
        return 0, None
    finally:
        connection.close()
    return answer.status, json.loads(content) if content else None


def submission(photograph: bytes) -> tuple[bytes, str]:
    """A multipart body with a case of a new patient, and its content type. Needs Django set up."""
    from diagnosis.api.submission import EXAMPLE_CASE

    now = datetime.now(UTC).isoformat()
    case: dict[str, Any] = json.loads(json.dumps(EXAMPLE_CASE))
    case["patient"]["record_number"] = str(uuid4())
    case["seen_at"] = now
    for consent in case["consents"]:
        consent["captured_at"] = now
    boundary = uuid4().hex
    body = b"".join(
        [
            f'--{boundary}\r\nContent-Disposition: form-data; name="case"\r\n\r\n{json.dumps(case)}\r\n'.encode(),
            f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="p.jpg"\r\n'
            f"Content-Type: image/jpeg\r\n\r\n".encode(),
            photograph,
            f"\r\n--{boundary}--\r\n".encode(),
        ]
    )
    return body, f"multipart/form-data; boundary={boundary}"


def measure(port: int, password: str, photograph: bytes, rounds: int) -> ApiTimings:
    """Submit one case after another and wait for each answer."""
    login = json.dumps({"email": "clinician@demo.example", "password": password}).encode()
    _, token = ask(port, "POST", "/api/v1/auth/token/", login, Content_Type="application/json")
    authorization = f"Token {token['token']}"
    post, answer = [], []
    for _ in range(rounds + 1):
        body, content_type = submission(photograph)
        begin = time.perf_counter()
        status, case = ask(
            port,
            "POST",
            "/api/v1/cases/",
            body,
            Authorization=authorization,
            Content_Type=content_type,
            Idempotency_Key=str(uuid4()),
        )
        accepted = time.perf_counter()
        if status != 201:
            raise RuntimeError(f"{status}: {case}")
        while ask(port, "GET", f"/api/v1/cases/{case['id']}/", Authorization=authorization)[1]["state"] == "waiting":
            time.sleep(0.01)
        post.append((accepted - begin) * 1000)
        answer.append((time.perf_counter() - accepted) * 1000)
    return ApiTimings(post=timing_of(post[1:]), answer=timing_of(answer[1:]))
