"""A deployment: every server, key and host is told by the environment, and a missing one stops the start by name."""

import structlog
from django.core.exceptions import ImproperlyConfigured

from skincare.settings import environment, logs
from skincare.settings.base import *  # noqa: F403
from skincare.settings.base import BUCKET, broker, caches, postgres

DEBUG = False
ALLOWED_HOSTS = environment.required("ALLOWED_HOSTS", "the host names served, separated by commas").split(",")
CSRF_TRUSTED_ORIGINS = environment.items("CSRF_TRUSTED_ORIGINS")

SECRET_KEY = environment.required("DJANGO_SECRET_KEY", "a random text of at least 50 characters")
SKINCARE_MASTER_KEYS = environment.named_keys(
    "SKINCARE_MASTER_KEYS",
    environment.required("SKINCARE_MASTER_KEYS", "id:base64key,id2:base64key with keys of 32 bytes, current first"),
)
SKINCARE_INDEX_KEYS = environment.keys(
    "SKINCARE_INDEX_KEY", environment.required("SKINCARE_INDEX_KEY", "32 random bytes in base64")
)

# Only who releases versions trained here needs the private key; workers are told SKINCARE_RELEASE_PUBLIC_KEYS.
SKINCARE_RELEASE_KEY, SKINCARE_RELEASE_PUBLIC_KEYS = environment.release_keys(environment.text("SKINCARE_RELEASE_KEY"))

# Without it /metrics does not exist.
METRICS_TOKEN = environment.text("SKINCARE_METRICS_TOKEN")

DATABASES = {
    "default": postgres(
        environment.required("DATABASE_URL", "PostgreSQL 15 or newer, postgresql://user:password@host/db")
    )
}
REDIS_URL = environment.required("REDIS_URL", "Redis or Valkey, redis://host:6379/0 or rediss://…")
CELERY_BROKER_URL = broker(REDIS_URL)
CACHES = caches(REDIS_URL)

if not BUCKET and not environment.text("MEDIA_ROOT"):
    raise ImproperlyConfigured(
        "Set the environment variable AWS_STORAGE_BUCKET_NAME (S3) or MEDIA_ROOT (a folder on a lasting disk): "
        "that is where photographs are kept, sealed."
    )

SECOND_FACTOR_FOR_STAFF = True

SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

LOGGING = logs.dictionary(structlog.processors.JSONRenderer())

# --- E-mail -------------------------------------------------------------------------------------------------------
EMAIL_HOST = environment.text("EMAIL_HOST", "localhost")
EMAIL_PORT = environment.integer("EMAIL_PORT", 25, minimum=1)
EMAIL_HOST_USER = environment.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = environment.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = environment.flag("EMAIL_USE_TLS")
