"""One machine: servers and secrets at hand in the ignored folder `var`, each replaced by its environment variable."""

import structlog

from skincare.launch import places, secrets
from skincare.settings import environment, logs
from skincare.settings.base import *  # noqa: F403
from skincare.settings.base import STORAGES, TRAINING_RECIPES, VAR, broker, caches, postgres

DEBUG = environment.flag("SKINCARE_DEBUG")
DEMO_ALLOWED = True
ALLOWED_HOSTS = environment.items("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = environment.items("CSRF_TRUSTED_ORIGINS")

_kept = secrets.keep(VAR / "secrets")
SECRET_KEY = environment.text("DJANGO_SECRET_KEY") or _kept["DJANGO_SECRET_KEY"]
SKINCARE_MASTER_KEYS = environment.named_keys(
    "SKINCARE_MASTER_KEYS", environment.text("SKINCARE_MASTER_KEYS") or _kept["SKINCARE_MASTER_KEYS"]
)
SKINCARE_INDEX_KEYS = environment.keys(
    "SKINCARE_INDEX_KEY", environment.text("SKINCARE_INDEX_KEY") or _kept["SKINCARE_INDEX_KEY"]
)

SKINCARE_RELEASE_KEY, SKINCARE_RELEASE_PUBLIC_KEYS = environment.release_keys(
    environment.text("SKINCARE_RELEASE_KEY") or _kept["SKINCARE_RELEASE_KEY"]
)

METRICS_TOKEN = environment.text("SKINCARE_METRICS_TOKEN") or _kept["SKINCARE_METRICS_TOKEN"]

DATABASES = {"default": postgres(environment.text("DATABASE_URL") or places.database_url(VAR))}
REDIS_URL = environment.text("REDIS_URL") or places.redis_url(VAR)
CELERY_BROKER_URL = broker(REDIS_URL)
CACHES = caches(REDIS_URL)

# What would be mailed lies in a folder.
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = VAR / "mail"

# Tries the machinery of learning within a minute; what it makes is not meant to serve anybody.
TRAINING_RECIPES = [*TRAINING_RECIPES, "smoke"]

# WhiteNoise serves from the source folders, so that nothing has to be collected before a start.
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_USE_FINDERS = True
STATIC_ROOT = None

LOGGING = logs.dictionary(structlog.dev.ConsoleRenderer(colors=False))
