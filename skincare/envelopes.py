"""Sealed envelopes: what a phone encrypts to this server, and cannot open again itself.

ECIES as a browser's WebCrypto offers it: an ephemeral P-256 key, ECDH with the server's, HKDF-SHA-256, AES-256-GCM. The
server's key pair is derived from a master key, so there is no further secret to keep, and what was sealed before a
master key was rotated opens as long as the old one is configured.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from skincare.encryption import NONCE_BYTES

MAGIC: Final = b"SKC1"
#: An uncompressed point of P-256.
POINT_BYTES: Final = 65
#: Order of P-256's group (FIPS 186-5, D.1.2.3).
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PURPOSE_OF_PAIR: Final = b"skincare: key pair for envelopes, 1"
_PURPOSE_OF_MESSAGE: Final = b"skincare: one envelope, 1"


class EnvelopeUnreadable(ValueError):
    """It is not an envelope, was altered, was sealed for somebody else, or its key is no longer configured."""


@dataclass(frozen=True)
class PublicKey:
    """What a phone needs to seal: the key's name, and its point, uncompressed, 65 bytes."""

    name: str
    point: bytes


def current_public_key() -> PublicKey:
    """The key to seal with now."""
    name = settings.SKINCARE_MASTER_KEYS[0][0]
    return PublicKey(name, _point(_private(tuple(settings.SKINCARE_MASTER_KEYS), name).public_key()))


def open_envelope(envelope: bytes, *, case: UUID, author: UUID) -> bytes:
    """Open what was sealed for this case by this author.

    Raises:
        EnvelopeUnreadable: it cannot be opened; the text says what to do.
    """
    try:
        name, point, nonce, body = _parts(envelope)
        private = _private(tuple(settings.SKINCARE_MASTER_KEYS), name)
        ephemeral = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (ValueError, LookupError, struct.error) as error:
        raise EnvelopeUnreadable(f"the envelope cannot be read: {error}; submit the case again") from error
    key = _message_key(private.exchange(ec.ECDH(), ephemeral), point, _point(private.public_key()))
    try:
        return AESGCM(key).decrypt(nonce, body, f"{name}|{case}|{author}".encode())
    except InvalidTag:
        raise EnvelopeUnreadable(
            "the envelope cannot be opened: it was altered, or sealed by another person or for another case; "
            "sign in as the person who made the case, or submit it again"
        ) from None


def seal_envelope(plain: bytes, *, case: UUID, author: UUID) -> bytes:
    """Seal as a phone does it; for tests and for programs that are clients."""
    public = current_public_key()
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    recipient = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
    point = _point(ephemeral.public_key())
    key = _message_key(ephemeral.exchange(ec.ECDH(), recipient), point, public.point)
    nonce = os.urandom(NONCE_BYTES)
    name = public.name.encode()
    body = AESGCM(key).encrypt(nonce, plain, f"{public.name}|{case}|{author}".encode())
    return b"".join([MAGIC, bytes([len(name)]), name, point, nonce, body])


def _parts(envelope: bytes) -> tuple[str, bytes, bytes, bytes]:
    if envelope[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not begin as one")
    length = struct.unpack_from("B", envelope, len(MAGIC))[0]
    at = len(MAGIC) + 1
    name = envelope[at : at + length].decode()
    at += length
    point, nonce = envelope[at : at + POINT_BYTES], envelope[at + POINT_BYTES : at + POINT_BYTES + NONCE_BYTES]
    return name, point, nonce, envelope[at + POINT_BYTES + NONCE_BYTES :]


@lru_cache(maxsize=16)
def _private(keys: Sequence[tuple[str, bytes]], name: str) -> ec.EllipticCurvePrivateKey:
    for known, key in keys:
        if known == name:
            # 48 bytes before the modulus leave no bias that matters (FIPS 186-5, A.2.1).
            seed = HKDF(hashes.SHA256(), 48, salt=name.encode(), info=_PURPOSE_OF_PAIR).derive(key)
            return ec.derive_private_key(int.from_bytes(seed, "big") % (_ORDER - 1) + 1, ec.SECP256R1())
    raise LookupError(f"it was sealed with the key {name!r}, which is not configured any more")


def _point(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _message_key(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=ephemeral + recipient, info=_PURPOSE_OF_MESSAGE).derive(shared)
