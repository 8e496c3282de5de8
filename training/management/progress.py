"""How far a long command is: a bar with the time left at a terminal, and a line now and then in a log."""

import time
from types import TracebackType
from typing import Final, Self

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

#: Seconds between two lines in a log.
_BETWEEN_LINES: Final = 30.0


def duration(seconds: float | None) -> str:
    """As a person says it; "?" where it is not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Display:
    """Use as a context; `say` what is done, how much of how much, and what else should be seen."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self._stdout = stdout
        self._bar = Progress(
            TextColumn("{task.description:12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[more]}"),
            console=Console(stderr=True),
            disable=not stdout.isatty(),
        )
        self._tasks: dict[str, TaskID] = {}
        self._spoken: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, problem, trace)

    def say(self, doing: str, done: int, of: int, more: str = "") -> None:
        """`done` of `of`; in a log only now and then, and when it is all."""
        if doing not in self._tasks:
            self._tasks[doing] = self._bar.add_task(doing, total=of, more=more)
        self._bar.update(self._tasks[doing], completed=done, total=of, more=more)
        if not self._bar.disable:
            return
        now = time.monotonic()
        if done == of or now - self._spoken.get(doing, 0.0) >= _BETWEEN_LINES:
            self._spoken[doing] = now
            self.line(f"{doing} {done} of {of} {more}".rstrip())

    def line(self, text: str) -> None:
        """One line that stays."""
        if self._bar.disable:
            self._stdout.write(text)
            self._stdout.flush()
        else:
            self._bar.console.print(text, highlight=False)
