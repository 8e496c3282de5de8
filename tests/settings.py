"""Local settings in a folder that lives as long as the test session; each parallel worker has databases of its own."""

import os
import tempfile
from pathlib import Path

# Set by the session's first process, so that its pytest-xdist workers find the same servers.
if "SKINCARE_TEST_VAR" not in os.environ:
    os.environ["SKINCARE_TEST_VAR"] = tempfile.mkdtemp(prefix="skincare-tests-")
    os.environ["SKINCARE_TEST_MAIN"] = str(os.getpid())
os.environ["SKINCARE_VAR"] = os.environ["SKINCARE_TEST_VAR"]

from skincare.launch import places
from skincare.settings.local import *  # noqa: F403
from skincare.settings.local import CELERY_BROKER_URL, REDIS_URL, VAR, broker, caches

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER and not os.environ.get("REDIS_URL", "").strip():
    REDIS_URL = places.redis_url(VAR, database=1 + int(WORKER.removeprefix("gw")) % 15)
    CELERY_BROKER_URL = broker(REDIS_URL)
    CACHES = caches(REDIS_URL)

MEDIA_ROOT = str(Path(VAR) / "media" / (WORKER or "main"))
# The real hasher takes 0.2 s a password on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
