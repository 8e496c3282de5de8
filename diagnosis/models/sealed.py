"""Attributes that are encrypted in the database under the patient's data key."""

from typing import Any, Protocol, cast
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


class SealedBytes(property):
    """An attribute of bytes whose column, ``sealed_<name>``, holds them encrypted.

    A subclass of ``property`` so that Django accepts the attribute as an argument when it makes a row. Give the row
    its patient first: the key comes from there. Nothing is stored as nothing.
    """

    def __init__(self, name: str) -> None:
        column = f"sealed_{name}"

        def read(row: models.Model) -> Any:
            sealed = getattr(row, column)
            plain = unseal(cast(HasDataKey, row).data_key(), sealed, place=place_of(row, name)) if sealed else b""
            return self.shown(plain)

        def write(row: models.Model, value: Any) -> None:
            plain = self.stored(value)
            sealed = seal(cast(HasDataKey, row).data_key(), plain, place=place_of(row, name)) if plain else None
            setattr(row, column, sealed)

        super().__init__(read, write)

    def stored(self, value: Any) -> bytes:
        """The bytes of a value."""
        return bytes(value)

    def shown(self, plain: bytes) -> Any:
        """The value of bytes."""
        return plain


class SealedText(SealedBytes):
    """The same for a text."""

    def stored(self, value: str) -> bytes:
        """In UTF-8."""
        return value.encode()

    def shown(self, plain: bytes) -> str:
        """From UTF-8."""
        return plain.decode()
