"""Signing a bundle's manifest at release, and checking that signature before anything of the bundle is used.

A digest in the database says which manifest is meant; whoever can write there could name another. The signature is made
with a key that is not in the database, so a bundle that was put there by anybody else is refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Beside the manifest: 64 bytes, Ed25519.
SIGNATURE: Final = "bundle.sig"
KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
#: Signed along, so that a signature made for something else is worth nothing here.
_CONTEXT: Final = b"skincare bundle manifest 1\x00"


class NotSigned(ValueError):
    """The manifest carries no signature by a trusted key. Says what is wrong with it."""


def public_key_of(private_key: bytes) -> bytes:
    """The 32 bytes by which others check what the 32 bytes ``private_key`` sign."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def sign(folder: Path, manifest: bytes, private_key: bytes) -> None:
    """Write the signature of ``manifest`` (the bytes of bundle.json) into ``folder``.

    Args:
        private_key: 32 bytes, the platform's release key.
    """
    signed = Ed25519PrivateKey.from_private_bytes(private_key).sign(_CONTEXT + manifest)
    unfinished = folder.with_name(f"{folder.name}.{SIGNATURE}.new")  # beside the folder, where nobody expects a bundle
    unfinished.write_bytes(signed)
    unfinished.replace(folder / SIGNATURE)


def check(folder: Path, manifest: bytes, public_keys: Sequence[bytes]) -> None:
    """Make sure that one of ``public_keys`` (32 bytes each) signed ``manifest``.

    Raises:
        NotSigned: there is no signature, it was altered, is of another manifest or by a key that is not trusted.
    """
    path = folder / SIGNATURE
    try:
        signed = path.read_bytes()
    except OSError as error:
        raise NotSigned(f"{path}: the manifest is not signed ({error.strerror})") from error
    if len(signed) != _SIGNATURE_BYTES:
        raise NotSigned(f"{path}: {len(signed)} bytes, where a signature has {_SIGNATURE_BYTES}")
    for public_key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signed, _CONTEXT + manifest)
        except InvalidSignature:
            continue
        return
    raise NotSigned(f"{path}: not made for this manifest by any of the {len(public_keys)} trusted release keys")
