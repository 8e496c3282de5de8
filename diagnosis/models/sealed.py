"""Attributes that are encrypted in the database under the patient's data key."""

from typing import Protocol, cast
from uuid import UUID

from django.db import models

from skincare.encryption import seal, unseal


class HasDataKey(Protocol):
    """A row that belongs to a patient and so can reach the patient's data key."""

    pk: UUID

    def data_key(self) -> bytes:
        """The patient's 32-byte data key; raises ``PatientErased`` where it was destroyed."""
        ...


class PatientErased(LookupError):
    """The patient's data key was destroyed, so what was sealed under it is gone for good."""


def place_of(row: models.Model, attribute: str) -> str:
    """Where a value is sealed for: it opens in no other row and under no other attribute."""
    return f"{row._meta.label_lower}.{attribute}:{row.pk}"


class SealedText(property):
    """A text attribute whose column, ``sealed_<name>``, holds it encrypted.

    A subclass of ``property`` so that Django accepts the attribute as an argument when it makes a row. Give the row
    its patient first: the key comes from there. An empty text is stored as nothing.
    """

    def __init__(self, name: str) -> None:
        column = f"sealed_{name}"

        def read(row: models.Model) -> str:
            sealed = getattr(row, column)
            if not sealed:
                return ""
            return unseal(cast(HasDataKey, row).data_key(), sealed, place=place_of(row, name)).decode()

        def write(row: models.Model, value: str) -> None:
            sealed = (
                seal(cast(HasDataKey, row).data_key(), value.encode(), place=place_of(row, name)) if value else None
            )
            setattr(row, column, sealed)

        super().__init__(read, write)
