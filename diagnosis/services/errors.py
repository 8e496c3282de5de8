"""What a service refuses, in terms that the caller can pass on to the person who can act."""

from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError


@dataclass
class Refusal(Exception):
    """A request that breaks a rule of the clinic or of the data.

    Args:
        code: stable word for programs, such as ``photograph_too_small``.
        detail: a sentence that names the thing and the way out.
        field: path of the field at fault, such as ``images[2]``; empty if it is the whole.
    """

    code: str
    detail: str
    field: str = ""

    def __str__(self) -> str:
        return self.detail


class Conflict(Refusal):
    """The request is well formed but something that exists already stands against it."""


class KeyReused(Refusal):
    """An idempotency key came back with other content."""


#: Clocks of phones are often a little ahead.
CLOCK_TOLERANCE_SECONDS: Final = 120


def constraint_of(error: IntegrityError) -> str:
    """Name of the constraint or trigger by which the database refused; empty where it does not say."""
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "")
