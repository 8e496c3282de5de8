"""A clock for the stages of one case: each function watched is timed, without the watched functions that it calls."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock


class StageClock:
    """Milliseconds by stage since it was last read, and how many statements went to the database."""

    def __init__(self) -> None:
        self._open: list[float] = []
        self._taken: dict[str, float] = {}
        self.statements = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens within, apart from stages that begin and end within it."""
        begin = time.perf_counter()
        self._open.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - begin
            within = self._open.pop()
            self._taken[name] = self._taken.get(name, 0.0) + (whole - within) * 1000
            if self._open:
                self._open[-1] += whole

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function as a stage."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with self.stage(name):
                return function(*arguments, **named)

        return call

    @contextmanager
    def watching(self, watched: list[tuple[Any, str, str]]) -> Iterator[None]:
        """Time functions as stages: pairs of an owner and its attribute, with the name of the stage."""
        with ExitStack() as stack:
            for owner, attribute, name in watched:
                stack.enter_context(mock.patch.object(owner, attribute, self.timed(name, getattr(owner, attribute))))
            yield

    def statement(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        """For Django's `connection.execute_wrapper`: a statement and PostgreSQL's answer."""
        self.statements += 1
        with self.stage("statements of the database"):
            return execute(*arguments)

    def read(self) -> dict[str, float]:
        """What was taken since the last time."""
        taken, self._taken = self._taken, {}
        return taken
