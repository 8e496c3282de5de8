"""Reads settings from environment variables, with errors that name the variable and say what it should hold."""

import base64
import binascii
import os
import re

from django.core.exceptions import ImproperlyConfigured

from diagnosis.classifier.signature import public_key_of

KEY_BYTES = 32  # AES-256, and HMAC-SHA-256 for the blind index


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; `default` where it is unset or blank."""
    return os.environ.get(name, "").strip() or default


def required(name: str, meaning: str) -> str:
    """The variable, or ImproperlyConfigured that says what it means."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"Set the environment variable {name}: {meaning}.")
    return value


def items(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list; `default` where the variable is unset or blank."""
    return [item.strip() for item in text(name).split(",") if item.strip()] or list(default)


def integer(name: str, default: int, minimum: int = 0) -> int:
    """A whole number of at least `minimum`."""
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < minimum:
        raise ImproperlyConfigured(f"{name}={value}: a whole number of at least {minimum} is needed.")
    return int(value)


def one_of(name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, of which the first is the default."""
    value = text(name, choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value}: one of {', '.join(choices)} is needed.")
    return value


def rate(name: str, default: str) -> str:
    """How many in which time, such as `600/min`; the units are s, min, h and d."""
    value = text(name, default)
    if not re.fullmatch(r"[1-9][0-9]{0,8}/(s|min|h|d)", value, re.ASCII):
        raise ImproperlyConfigured(f"{name}={value}: a rate such as 600/min is needed, in s, min, h or d.")
    return value


def flag(name: str) -> bool:
    """True for 1, true, yes and on, in any case."""
    return text(name).lower() in {"1", "true", "yes", "on"}


def key(name: str, encoded: str) -> bytes:
    """Decodes one base64 key of 32 bytes; the error never repeats the key."""
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ImproperlyConfigured(f"{name} holds a key that is not base64.") from None
    if len(decoded) != KEY_BYTES:
        raise ImproperlyConfigured(f"{name} holds a key of {len(decoded)} bytes, {KEY_BYTES} needed.")
    return decoded


def release_keys(private: str) -> tuple[bytes | None, list[bytes]]:
    """The key that signs bundles released here, and those whose signatures are trusted: its own and the ones named.

    Args:
        private: base64 of 32 bytes; empty where this process releases nothing.
    """
    signing = key("SKINCARE_RELEASE_KEY", private) if private else None
    trusted = [key("SKINCARE_RELEASE_PUBLIC_KEYS", each) for each in items("SKINCARE_RELEASE_PUBLIC_KEYS")]
    return signing, [*([public_key_of(signing)] if signing else []), *trusted]


def named_keys(name: str, encoded: str) -> list[tuple[str, bytes]]:
    """Reads `id:base64key,id2:base64key`; the first is current, the others still open what they once sealed."""
    keys: list[tuple[str, bytes]] = []
    for part in encoded.split(","):
        key_id, separator, secret = part.strip().partition(":")
        if not separator or not key_id:
            raise ImproperlyConfigured(f"{name} must read id:base64key,id2:base64key, the current one first.")
        if key_id in dict(keys):
            raise ImproperlyConfigured(f"{name} names the key {key_id} twice.")
        keys.append((key_id, key(name, secret)))
    return keys
