"""Patients' files in the store: encrypted under the patient's key, under names that say nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError

from diagnosis.models import Patient
from skincare.encryption import seal, unseal


def store_sealed(patient: Patient, plain: bytes) -> str:
    """Encrypt and store; returns the file's random name in the store."""
    token = uuid4().hex
    name = f"sealed/{token[:2]}/{token}"
    sealed = seal(patient.data_key(), plain, place=f"file:{name}")
    stored = default_storage.save(name, ContentFile(sealed))
    if stored != name:  # a storage that renames would leave a file that cannot be opened again
        default_storage.delete(stored)
        raise OSError(f"the store kept {stored!r} instead of {name!r}")
    return name


def open_sealed(patient: Patient, name: str) -> bytes:
    """Read and decrypt a stored file.

    Raises:
        OSError: the store does not have it or does not answer.
        SealBroken: it was altered or belongs to another patient.
        PatientErased: the patient's key was destroyed.
    """
    key = patient.data_key()
    with default_storage.open(name, "rb") as file:
        return unseal(key, file.read(), place=f"file:{name}")


def remove(name: str) -> None:
    """Delete a stored file, as after a submission that did not go through."""
    default_storage.delete(name)


@contextmanager
def kept_only_on_success() -> Iterator[list[str]]:
    """Collect names of stored files; delete them if the block did not succeed.

    Where the connection broke nobody can tell whether the commit went through, so the files stay: a stray encrypted
    file does no harm, a row without its photograph does.
    """
    files: list[str] = []
    try:
        yield files
    except (OperationalError, InterfaceError):
        raise
    except BaseException:
        for name in files:
            remove(name)
        raise
