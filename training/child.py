"""The process that trains: ``python -m training.child RUN``, started and followed by ``training.services.supervision``.

It tells what it does in lines of JSON on its standard output, writes to the database only in the audit record (whose
photographs it opened, and that it began anew because a consent ended), and ends when its standard input ends, because
then nobody looks after it any more. Killed at any time and started again, it goes on from its last checkpoint; a
version that was made already is only judged.
"""

import contextlib
import fcntl
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import django


def main() -> None:
    """Train and judge the run that is named on the command line."""
    run_id = UUID(sys.argv[1])
    # What libraries print goes to the log; our own lines alone go to the process that follows.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True, name="parent").start()
    django.setup()

    from django.conf import settings

    os.nice(settings.TRAINING_NICENESS)
    from training.services import learning

    def tell(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")

    try:
        with alone_in(learning.folder_of(run_id)):
            learning.learn_and_judge(run_id, tell)
    except learning.CannotLearn as reason:
        traceback.print_exc()
        tell(failed={"reason": reason.code, "text": str(reason)})


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder: a process that was left over from a dead worker must end before this one begins."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock: IO[str]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end_with_parent() -> None:
    """Wait for the end of the standard input, which is the end of the worker."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os._exit(1)


if __name__ == "__main__":
    main()
