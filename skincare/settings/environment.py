"""Reads settings from environment variables, with errors that name the variable and say what it should hold."""

import base64
import binascii
import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from diagnosis.classifier.signature import public_key_of

KEY_BYTES = 32  # AES-256, and HMAC-SHA-256 for the blind index


#: What may also lie in a file, whose path NAME_FILE tells: so that secrets stand in no process's environment.
SECRETS = (
    "DATABASE_URL",
    "DJANGO_SECRET_KEY",
    "REDIS_URL",
    "SKINCARE_APPLICATION_DATABASE_URL",
    "SKINCARE_INDEX_KEY",
    "SKINCARE_MASTER_KEYS",
    "SKINCARE_METRICS_TOKEN",
    "SKINCARE_RELEASE_KEY",
)


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; `default` where it is unset or blank.

    A secret is read from the file that NAME_FILE names, where that is set; several lines are joined by commas.

    Raises:
        ImproperlyConfigured: both are set, or the file cannot be read or is empty.
    """
    value = os.environ.get(name, "").strip()
    path = os.environ.get(f"{name}_FILE", "").strip() if name in SECRETS else ""
    if not path:
        return value or default
    if value:
        raise ImproperlyConfigured(f"Set either {name} or {name}_FILE, not both.")
    try:
        lines = Path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE={path}: cannot be read ({type(error).__name__}).") from None
    if not lines:
        raise ImproperlyConfigured(f"{name}_FILE={path}: the file is empty.")
    return ",".join(line.strip(",") for line in lines)


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


def keys(name: str, encoded: str) -> list[bytes]:
    """Reads `base64key,base64key`; the first is current, what was written under the others is still found."""
    found = [key(name, part.strip()) for part in encoded.split(",")]
    if len(set(found)) < len(found):
        raise ImproperlyConfigured(f"{name} holds the same key twice.")
    return found


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
