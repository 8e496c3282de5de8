"""Encryption of what identifies a patient: AES-256-GCM under a data key per patient, wrapped by a master key.

Master keys come from the settings (several at once, so that they can be rotated; the first one wraps new data keys).
Destroying a patient's wrapped data key makes everything sealed under it unreadable for good.
"""

import base64
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


def seal_text(text: str, *, place: str) -> str:
    """Seal a secret of the platform's own, which no patient's key protects, under the current master key.

    Returns:
        ``name of the master key:base64``.
    """
    name, key = key_ring().keys[0]
    return f"{name}:{base64.b64encode(seal(key, text.encode(), place=place)).decode()}"


def open_text(sealed: str, *, place: str) -> str:
    """Open what ``seal_text`` made for the same place.

    Raises:
        MasterKeyMissing: the master key that sealed it is not configured.
        SealBroken: it was altered, or moved from another place.
    """
    name, _, body = sealed.partition(":")
    for known, key in key_ring().keys:
        if known == name:
            return unseal(key, base64.b64decode(body), place=place).decode()
    raise MasterKeyMissing(
        f"{place} was sealed under master key {name!r}, which is not configured; add it to SKINCARE_MASTER_KEYS "
        "(after the current one)"
    )


def sealed_under_current_key(sealed: str) -> bool:
    """Whether what ``seal_text`` made needs no other master key than the current one."""
    return sealed.partition(":")[0] == key_ring().keys[0][0]


def index_key_id(key: bytes = b"") -> str:
    """By what rows tell under which index key (the current one, if none is given) they can be found: 16 digits that
    tell nothing of the key."""
    return hmac.new(key or settings.SKINCARE_INDEX_KEYS[0], b"index-key-id", hashlib.sha256).hexdigest()[:16]


def blind_indexes(value: str, *, purpose: str, salt: UUID) -> list[bytes]:
    """Keyed digests by which an encrypted value can be looked up but not read, one for each configured index key.

    Case, spacing and Unicode form do not matter. ``salt`` (the organisation) keeps equal values in different
    organisations from being recognised as equal.

    Returns:
        32 bytes each, HMAC-SHA-256; the first is the current key's, under which rows are written.
    """
    normal = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    message = b"\x00".join([purpose.encode(), salt.bytes, normal.encode()])
    return [hmac.new(key, message, hashlib.sha256).digest() for key in settings.SKINCARE_INDEX_KEYS]


#: Letters that Unicode does not take apart, and how they are written where a keyboard lacks them.
_PLAINER: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th", "ـ": ""}
)
#: Within a word they are left out (O'Brien); everything else that is no letter, mark or digit parts words.
_APOSTROPHES: Final = "'\u2019\u2018\u02bc\u02bb\u0060\u00b4\u05f3"


def folded_name(name: str) -> str:
    """A person's name without what people write differently: case, accents, spacing, punctuation, order of the words.

    Dropped are accents of Latin, Greek and Cyrillic letters, vowel signs of Arabic and Hebrew, apostrophes and
    invisible characters; signs that make another letter (Indic and Thai vowels, Japanese voicing) stay. Spellings that
    differ in letters stay different: Müller is found as Muller, not as Mueller.

    Returns:
        Words parted by single spaces, in alphabetical order; empty where the name has no letter and no digit.
    """
    kept = []
    for character in unicodedata.normalize("NFKD", name).casefold().translate(_PLAINER):
        kind, above_or_below = unicodedata.category(character), unicodedata.combining(character)
        if kind == "Cf" or character in _APOSTROPHES or 202 <= above_or_below <= 240 or 10 <= above_or_below <= 36:
            continue
        kept.append(character if kind[0] in "LMN" else " ")
    return " ".join(sorted(unicodedata.normalize("NFKC", "".join(kept)).split()))


def name_indexes(name: str, birth_date: str, *, salt: UUID) -> list[bytes]:
    """The keyed digests of a name together with a birth date: names alone are too few to hide behind a digest.

    Args:
        birth_date: ISO 8601.

    Returns:
        As ``blind_indexes``; nothing where name or birth date is missing.
    """
    words = folded_name(name)
    if not words or not birth_date:
        return []
    return blind_indexes(f"{birth_date} {words}", purpose="name-and-birth-date", salt=salt)


def record_number_indexes(record_number: str, *, salt: UUID) -> list[bytes]:
    """The keyed digests of a record number, as ``blind_indexes``."""
    return blind_indexes(record_number, purpose="record-number", salt=salt)
