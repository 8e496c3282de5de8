"""Patients' files in the store: encrypted under the patient's key, under names that say nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError

from diagnosis.models import Patient
from skincare.encryption import seal, unseal

log = structlog.get_logger(__name__)


class StoreUnavailable(OSError):
    """The store does not answer, or not with a whole file."""


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """S3's errors are none of Python's: whoever asks for a file need not know where it lies."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailable(f"the store of photographs does not answer: {type(error).__name__}") from error


def store_sealed(patient: Patient, plain: bytes) -> str:
    """Encrypt and store; returns the file's random name in the store.

    Raises OSError where the store does not take it.
    """
    token = uuid4().hex
    name = f"sealed/{token[:2]}/{token}"
    sealed = seal(patient.data_key(), plain, place=f"file:{name}")
    try:
        with _as_os_errors():
            stored = default_storage.save(name, ContentFile(sealed))
    except OSError:
        _forget(name)  # a full disk keeps what found room
        raise
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
    with _as_os_errors(), default_storage.open(name, "rb") as file:
        sealed = file.read()
    return unseal(key, sealed, place=f"file:{name}")


def open_public(name: str) -> bytes:
    """Read a stored file that holds nothing of a patient, as a reference image. Raises OSError as `open_sealed`."""
    with _as_os_errors(), default_storage.open(name, "rb") as file:
        content: bytes = file.read()
    return content


def remove(name: str) -> None:
    """Delete a stored file, as after a submission that did not go through. Raises OSError where the store is away."""
    with _as_os_errors():
        default_storage.delete(name)


def _forget(name: str) -> None:
    """Remove what was stored in vain, where the store that failed allows it; a stray sealed file does no harm."""
    try:
        remove(name)
    except OSError as error:
        log.warning("stray_file_left", error=type(error).__name__)


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
            _forget(name)
        raise
