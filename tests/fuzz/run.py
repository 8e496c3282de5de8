"""Put tens of thousands of broken photographs through the reading of uploads, in children with limits.

    python -m tests.fuzz.run --inputs 50000 --seed 1 --processes 2

Each child has a ceiling of memory, and tells the number of each input before it reads it, so that a crash or an
endless loop names its input. Ends with 1 if anything was found; each finding is a number that ``--only`` repeats.
"""

import argparse
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: What a child may take above what it has when it begins: a picture of 25 megapixels in a few copies.
MEMORY_BYTES: Final = 900 * 1024 * 1024
#: Processor time of one input. The largest picture that is taken needs less than two seconds.
SECONDS: Final = 8.0
#: After so long without a word a child is taken to hang. Longer than SECONDS, for machines that do other work too.
SILENCE_SECONDS: Final = 60.0
SHARE: Final = 500


@dataclass
class Findings:
    """What became of the inputs."""

    codes: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    peak_megabytes: int = 0

    @property
    def inputs(self) -> int:
        """How many there were."""
        return self.codes.total() + len(self.faults)


def child(first: int, last: int, judge: Callable[[bytes], str]) -> None:
    """Read the inputs with these numbers; a line before each, and one with the outcome behind it."""
    from tests.fuzz.mutations import mutated, samples

    samples()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    ceiling = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    for number in range(first, last):
        print(json.dumps({"begins": number}), flush=True)
        upload = mutated(number)
        before = time.process_time()
        try:
            outcome = {"code": judge(upload)}
        except BaseException as error:  # whatever it is, it is a finding
            outcome = {"fault": f"{type(error).__name__}: {error}"[:300]}
        seconds = time.process_time() - before
        if seconds > SECONDS:
            outcome = {"fault": f"took {seconds:.1f} s of processor time"}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"number": number, "seconds": round(seconds, 3), "peak": peak, **outcome}), flush=True)


class Share:
    """One child and the numbers that it reads; begun again behind an input that ended it."""

    def __init__(self, first: int, last: int, said: "queue.Queue[tuple[Share, str]]", module: str) -> None:
        self.first, self.last, self.said, self.module = first, last, said, module
        self.begin(first)

    def begin(self, number: int) -> None:
        """Start a child with this number."""
        self.begun, self.current, self.heard = number, number - 1, time.monotonic()
        arguments = [sys.executable, "-m", self.module, "--child", f"{number}:{self.last}"]
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}  # Pillow warns of every damaged EXIF
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=quiet)
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.said.put((self, line))
        process.wait()
        self.said.put((self, ""))


def fuzz(
    first: int,
    count: int,
    processes: int = 2,
    *,
    tell: bool = False,
    silence: float = SILENCE_SECONDS,
    module: str = __name__ if __name__ != "__main__" else "tests.fuzz.run",
) -> Findings:
    """Read ``count`` broken photographs, the first with the number ``first``.

    Args:
        module: what the children run.

    Raises:
        RuntimeError: a child ends before it reads anything, which no input can have caused.
    """
    found = Findings()
    said: queue.Queue[tuple[Share, str]] = queue.Queue()
    waiting = [(n, min(n + SHARE, first + count)) for n in range(first, first + count, SHARE)][::-1]
    running = {Share(*waiting.pop(), said, module) for _ in range(min(processes, len(waiting)))}
    while running:
        try:
            share, line = said.get(timeout=1.0)
        except queue.Empty:
            for each in running:
                # One that has said nothing yet is still starting.
                patience = silence if each.current >= each.begun else SILENCE_SECONDS
                if time.monotonic() - each.heard > patience:
                    each.process.kill()  # its end is heard, and names the input
            continue
        share.heard = time.monotonic()
        if line:
            _hear(json.loads(line), share, found)
            continue
        running.remove(share)
        if status := share.process.returncode:
            if share.current < share.first:
                raise RuntimeError(f"the child for {share.first} ended with {status} before it read anything")
            found.faults.append((share.current, f"the process ended with {status}"))
            if share.current + 1 < share.last:
                share.begin(share.current + 1)
                running.add(share)
            continue
        if tell:
            print(f"{found.inputs} of {count}: {dict(found.codes)}", file=sys.stderr)
        if waiting:
            running.add(Share(*waiting.pop(), said, module))
    return found


def _hear(said: dict[str, object], share: Share, found: Findings) -> None:
    if "begins" in said:
        share.current = int(str(said["begins"]))
        return
    number = int(str(said["number"]))
    if "fault" in said:
        found.faults.append((number, str(said["fault"])))
    else:
        found.codes[str(said["code"])] += 1
    found.slowest = max(found.slowest, (float(str(said["seconds"])), number))
    found.peak_megabytes = max(found.peak_megabytes, int(str(said["peak"])))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1, help="number of the first input")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, help="read the input with this number here, without limits")
    parser.add_argument("--save", help="with --only: write the input to this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        first, _colon, last = wanted.child.partition(":")
        from tests.fuzz.judge import judge

        child(int(first), int(last), judge)
        return 0
    if wanted.only is not None:
        from tests.fuzz.judge import judge
        from tests.fuzz.mutations import mutated

        upload = mutated(wanted.only)
        if wanted.save:
            Path(wanted.save).write_bytes(upload)
        print(f"{len(upload)} bytes: {judge(upload)}")
        return 0
    began = time.monotonic()
    found = fuzz(wanted.seed, wanted.inputs, wanted.processes, tell=True)
    print(f"{found.inputs} inputs from {wanted.seed} on, in {time.monotonic() - began:.0f} s: {dict(found.codes)}")
    print(f"slowest {found.slowest[0]} s (input {found.slowest[1]}); at most {found.peak_megabytes} MB")
    for number, fault in found.faults:
        print(f"FOUND by input {number}: {fault}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
