"""Clinicians who submit without a pause and, as the phone app does, send again what was not accepted."""

import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self
from uuid import uuid4

import requests

from tests.factories import PHOTOGRAPH
from tests.faults.platform import PATIENCE_SECONDS, Platform, eventually

#: Between two cases of one clinician: on any machine the workers keep up, and what is accepted is soon answered.
PAUSE_SECONDS = 0.2
#: What a balancer, a server that goes down and a database that is away answer; all else has to be accepted.
SEND_AGAIN = frozenset({502, 503, 504})


class Load:
    """Submits from several threads while it is open; on closing, each waits until its last case is accepted."""

    def __init__(
        self,
        platform: Platform,
        clinicians: int = 3,
        ports: tuple[int, ...] = (),
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """`ports`: of several web processes; whoever does not answer is passed over, as a balancer does."""
        self.platform = platform
        self.pause = pause
        self.ports = ports or (platform.port,)
        self.accepted: list[str] = []
        #: Answers and broken connections after which a case was sent again, by status or by the error's name.
        self.sent_again: Counter[str] = Counter()
        self.problems: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(clinicians)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        if error is None:
            assert not any(thread.is_alive() for thread in self._threads), "a case was not accepted in time"
            assert self.problems == [], self.problems

    def come_in(self, more: int, when: str = "now") -> None:
        """Wait until so many further cases are accepted; a refusal ends it at once, with what was answered."""
        enough = len(self.accepted) + more
        eventually(f"cases come in, {when}", lambda: len(self.accepted) >= enough or bool(self.problems))
        assert self.problems == [], self.problems

    def is_told_to_send_again(self, when: str) -> None:
        """Wait until one further case is answered with 503."""
        before = self.sent_again["503"]
        eventually(f"a phone is told to send again, {when}", lambda: self.sent_again["503"] > before)

    def _work(self, number: int) -> None:
        while not self._over.wait(self.pause):
            key, case = str(uuid4()), json.dumps(self.platform.case())
            for attempt in range(10_000):
                port = self.ports[(number + attempt) % len(self.ports)]
                if self._send(port, key, case):
                    self.accepted.append(key)
                    break
                if self.problems:
                    return
                time.sleep(0.1)

    def _send(self, port: int, key: str, case: str) -> bool:
        try:
            answer = requests.post(
                f"http://127.0.0.1:{port}/api/v1/cases/",
                headers={**self.platform.headers, "Idempotency-Key": key},
                data={"case": case},
                files={"images": ("photograph.jpg", PHOTOGRAPH.read_bytes(), "image/jpeg")},
                timeout=30,
            )
        except requests.RequestException as error:
            self.sent_again[type(error).__name__] += 1
            return False
        if answer.status_code in SEND_AGAIN:
            self.sent_again[str(answer.status_code)] += 1
            return False
        if answer.status_code not in {200, 201}:
            self.problems.append(f"{answer.status_code}: {answer.text[:500]}")
        return answer.status_code in {200, 201}
