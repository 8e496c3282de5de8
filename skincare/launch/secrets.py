"""Makes the secrets of one checkout once, and keeps them where only its owner can read them."""

import base64
import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Final

from skincare.launch.places import make_private

#: Signs what is released here.
RELEASE_KEY: Final = "SKINCARE_RELEASE_KEY"
#: Whoever bears it may fetch /metrics.
METRICS_TOKEN: Final = "SKINCARE_METRICS_TOKEN"
#: Nothing is lost where one of these is missing: a folder of secrets from before it gets one.
LATER: Final = (RELEASE_KEY, METRICS_TOKEN)


def _fresh() -> dict[str, str]:
    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    return {
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(64),
        "SKINCARE_MASTER_KEYS": f"local-1:{key()}",
        "SKINCARE_INDEX_KEY": key(),
        RELEASE_KEY: key(),
        METRICS_TOKEN: secrets.token_urlsafe(32),
    }


def keep(folder: Path) -> dict[str, str]:
    """The secrets in `folder`, made on the first call; twenty processes that start at once get the same ones.

    They are written to a new file first and renamed, so that a crash leaves either none or all of them: half a set
    would make every sealed record unreadable. Raises ValueError where the file is damaged.
    """
    make_private(folder)
    path = folder / "secrets.json"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _write(path, _fresh())
        try:
            kept: dict[str, str] = json.loads(path.read_text())
        except ValueError:
            raise ValueError(
                f"{path} is damaged. Put it back from a backup: what was sealed with its keys cannot be read without "
                "them."
            ) from None
        if missing := [name for name in LATER if name not in kept]:
            fresh = _fresh()
            kept |= {name: fresh[name] for name in missing}
            _write(path, kept)
    return kept


def _write(path: Path, kept: dict[str, str]) -> None:
    fresh = path.with_name("secrets.json.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
