"""Clients that send one request after the other, each on a connection that it keeps; every byte is ready beforehand."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Answered:
    """One request: wall clock when its first byte left, and seconds until its answer was whole."""

    number: int
    began: float
    seconds: float


@dataclass(frozen=True)
class Run:
    """What all clients saw."""

    answers: Sequence[Answered]
    seconds: float

    def quantiles(self) -> tuple[float, float, float]:
        """p50, p95 and p99 of the time to an answer, in milliseconds."""
        middle, high, highest = np.quantile([answer.seconds * 1000 for answer in self.answers], [0.5, 0.95, 0.99])
        return float(middle), float(high), float(highest)


def send(port: int, requests: Sequence[bytes], clients: int) -> Run:
    """Send all requests with so many clients at once.

    Raises:
        RuntimeError: one was not answered with 200 or 201.
    """
    return asyncio.run(_send(port, requests, clients))


async def _send(port: int, requests: Sequence[bytes], clients: int) -> Run:
    waiting = iter(enumerate(requests))
    answers: list[Answered] = []
    begin = time.perf_counter()
    await asyncio.gather(*(_client(port, waiting, answers) for _ in range(clients)))
    return Run(answers, time.perf_counter() - begin)


async def _client(port: int, waiting: "enumerate[bytes]", answers: list[Answered]) -> None:
    connection = None
    for number, request in waiting:
        began, start = time.time(), time.perf_counter()
        async with asyncio.timeout(PATIENCE_SECONDS):
            if connection is None or connection[0].at_eof():
                connection = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            reader, writer = connection
            writer.write(request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith((b"http/1.1 200", b"http/1.1 201")):
            raise RuntimeError(f"{head[:200]!r} {body[:500]!r}")
        answers.append(Answered(number, began, time.perf_counter() - start))
        if b"connection: close" in head:
            writer.close()
            connection = None
    if connection is not None:
        connection[1].close()
