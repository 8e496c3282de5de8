"""Encryption of what identifies a patient: AES-256-GCM under a data key per patient, wrapped by a master key.

Master keys come from the settings (several at once, so that they can be rotated; the first one wraps new data keys).
Destroying a patient's wrapped data key makes everything sealed under it unreadable for good.
"""

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
#: First byte of everything sealed, so that a later format can stand beside this one.
FORMAT: Final = b"\x01"


class SealBroken(ValueError):
    """What was sealed cannot be opened: wrong key, altered bytes, or moved to another place than it was sealed for."""


class MasterKeyMissing(LookupError):
    """A data key was wrapped by a master key that is not among those configured."""


def seal(key: bytes, plain: bytes, *, place: str) -> bytes:
    """Encrypt ``plain`` for one ``place`` (such as ``patient.name:<uuid>``); it opens nowhere else."""
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + nonce + AESGCM(key).encrypt(nonce, plain, place.encode())


def unseal(key: bytes, sealed: bytes | memoryview, *, place: str) -> bytes:
    """Decrypt what ``seal`` made for the same key and place.

    Raises:
        SealBroken: the bytes were altered, truncated, sealed under another key or for another place.
    """
    data = bytes(sealed)
    if data[:1] != FORMAT:
        raise SealBroken(f"{place}: not in a known sealed format")
    nonce, body = data[1 : 1 + NONCE_BYTES], data[1 + NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, body, place.encode())
    except (InvalidTag, ValueError) as error:
        raise SealBroken(f"{place}: cannot be opened with this patient's key") from error


@dataclass(frozen=True)
class WrappedKey:
    """A data key as it is stored: sealed under the master key named ``master_key_id``."""

    master_key_id: str
    sealed: bytes


@dataclass(frozen=True)
class KeyRing:
    """The configured master keys, the current one first.

    Args:
        keys: pairs of a name and 32 bytes.
    """

    keys: Sequence[tuple[str, bytes]]

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("no master key: set SKINCARE_MASTER_KEYS to 'name:base64 of 32 bytes'")
        for name, key in self.keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"master key {name!r} has {len(key)} bytes, {KEY_BYTES} needed")

    def wrap(self, data_key: bytes, *, owner: UUID) -> WrappedKey:
        """Seal a data key for its owner under the current master key."""
        name, key = self.keys[0]
        return WrappedKey(name, seal(key, data_key, place=f"data-key:{owner}"))

    def unwrap(self, wrapped: WrappedKey, *, owner: UUID) -> bytes:
        """Open a wrapped data key.

        Raises:
            MasterKeyMissing: the master key that wrapped it is not configured.
            SealBroken: it was altered or belongs to another owner.
        """
        for name, key in self.keys:
            if name == wrapped.master_key_id:
                return unseal(key, wrapped.sealed, place=f"data-key:{owner}")
        raise MasterKeyMissing(
            f"the data key of {owner} was wrapped by master key {wrapped.master_key_id!r}, which is not configured; "
            "add it to SKINCARE_MASTER_KEYS (after the current one)"
        )


def new_data_key() -> bytes:
    """A fresh random 256-bit key."""
    return os.urandom(KEY_BYTES)


@lru_cache(maxsize=4)
def _ring(keys: tuple[tuple[str, bytes], ...]) -> KeyRing:
    return KeyRing(keys)


def key_ring() -> KeyRing:
    """The master keys of this process's settings."""
    return _ring(tuple(settings.SKINCARE_MASTER_KEYS))


def blind_index(value: str, *, purpose: str, salt: UUID) -> bytes:
    """A keyed digest by which an encrypted value can be looked up but not read.

    Case, spacing and Unicode form do not matter. ``salt`` (the organisation) keeps equal values in different
    organisations from being recognised as equal.

    Returns:
        32 bytes, HMAC-SHA-256.
    """
    normal = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    message = b"\x00".join([purpose.encode(), salt.bytes, normal.encode()])
    return hmac.new(settings.SKINCARE_INDEX_KEY, message, hashlib.sha256).digest()
