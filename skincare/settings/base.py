"""What holds everywhere. `local` and `production` import this and add servers, secrets and strictness."""

import logging
from pathlib import Path
from typing import Any

import dj_database_url
from botocore.config import Config
from csp.constants import NONE, SELF
from redis.backoff import NoBackoff
from redis.retry import Retry

from skincare.settings import environment, logs

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR = Path(environment.text("SKINCARE_VAR") or BASE_DIR / "var").resolve()

# --- Applications -------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    # First, because skincare.accounts takes their pages out of the Django admin again.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "skincare.accounts.apps.AccountsConfig",
    "skincare.audit.apps.AuditConfig",
    "skincare.health.apps.HealthConfig",
    "diagnosis.apps.DiagnosisConfig",
    "training.apps.TrainingConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "django_structlog",
]

MIDDLEWARE = [
    "skincare.health.middleware.ProbeMiddleware",
    "skincare.health.latency.LatencyMiddleware",
    "skincare.audit.middleware.OriginMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "skincare.browser.BrowserMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "skincare.accounts.middleware.SecondFactorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "skincare.error_pages.wrong_method",
]

ROOT_URLCONF = "skincare.urls"
WSGI_APPLICATION = "skincare.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "skincare.appearance.appearance",
            ],
        },
    },
]

# --- People -------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "start"
KNOX_TOKEN_MODEL = "accounts.ApiToken"
# knox's own migrations make its token table even where another model takes its place.
MIGRATION_MODULES = {"knox": None}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# Whether those who rule the platform need a second factor whatever organisation they are in: staff and model stewards.
SECOND_FACTOR_FOR_STAFF = environment.flag("SKINCARE_SECOND_FACTOR_FOR_STAFF")
# How long a proof of who one is opens what asks for a fresh one, such as an export or another second factor.
RECENT_AUTHENTICATION_SECONDS = 10 * 60

# allauth does the second factors. It registers nobody, sends nothing, and counts nothing: our own counters do.
ACCOUNT_ADAPTER = "skincare.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = RECENT_AUTHENTICATION_SECONDS
MFA_ADAPTER = "skincare.accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "skincare.signing_in.forms.CodeForm",
    "reauthenticate": "skincare.signing_in.forms.ConfirmingCodeForm",
    "add_webauthn": "skincare.signing_in.forms.NewPasskeyForm",
}
ACCOUNT_FORMS = {
    "reauthenticate": "skincare.signing_in.forms.ConfirmingPasswordForm",
    "change_password": "skincare.signing_in.forms.NewPasswordForm",
}
MFA_ALLOW_UNVERIFIED_EMAIL = True  # accounts are made by people, not by whoever writes an address into a form
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_RATE_LIMITS = False
MFA_TOTP_ISSUER = "Skincare"
MFA_TOTP_TOLERANCE = 1  # thirty seconds either way

SESSION_COOKIE_AGE = 12 * 3600  # seconds: one long working day
# How long after signing in (or after proving it again) a dermatologist may sign assessments.
SIGNATURE_SECONDS = environment.integer("SKINCARE_SIGNATURE_SECONDS", 12 * 3600, minimum=60)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "skincare.error_pages.forged"

# Whether `manage.py load_demo` may add its log-ins; never where there are real patients.
DEMO_ALLOWED = False

# --- Telling people and programs ----------------------------------------------------------------------------------
# Where people reach this server, for links in e-mail.
PUBLIC_URL = environment.text("SKINCARE_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
DEFAULT_FROM_EMAIL = environment.text("SKINCARE_MAIL_FROM", "skincare@localhost")
EMAIL_TIMEOUT = 10
# Whether webhooks may go to addresses inside, and without TLS: for a receiver on the same machine, in tests.
WEBHOOKS_TO_PRIVATE = False

# --- Language and time --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("ar", "Arabic")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# --- Servers ------------------------------------------------------------------------------------------------------
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
#: Told to whoever migrates as the owner of the tables: the DATABASE_URL of everybody else.
APPLICATION_DATABASE_URL = environment.text("SKINCARE_APPLICATION_DATABASE_URL")
CONNECTION_SECONDS = 60  # a new PostgreSQL connection costs 3.5 ms; a gunicorn thread keeps its own this long


def postgres(url: str) -> dict[str, Any]:
    """Django's entry for the database at `url`; a connection that died while idle is noticed before it is used."""
    entry: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=CONNECTION_SECONDS, conn_health_checks=True))
    entry["OPTIONS"] = {"connect_timeout": 5, "application_name": "skincare", **entry.get("OPTIONS", {})}
    return entry


def broker(redis_url: str) -> str:
    """The same Valkey as Celery spells it: kombu names a Unix socket `redis+socket`, redis-py names it `unix`."""
    if redis_url.startswith("unix://"):
        return redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
    return redis_url


CACHE_PATIENCE_SECONDS = 0.1


def caches(redis_url: str) -> dict[str, dict[str, Any]]:
    """Django's entries for what is kept a while.

    ``default`` is shared and only counts requests: without it they pass, so nobody waits for it. ``figures`` is each
    process's own, for tables that take long to count; those are objects, and objects are not read out of Valkey.
    """
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis_url,
            "KEY_PREFIX": "skincare",
            "OPTIONS": {
                "serializer": "skincare.counts.Counts",
                "socket_connect_timeout": CACHE_PATIENCE_SECONDS,
                "socket_timeout": CACHE_PATIENCE_SECONDS,
                "retry": Retry(NoBackoff(), 0),
            },
        },
        "figures": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "figures"},
    }


# Proxies of ours in front, each of which appends the address that it saw to X-Forwarded-For.
TRUSTED_PROXIES = environment.integer("SKINCARE_TRUSTED_PROXIES", 0)

# --- Reading cases ------------------------------------------------------------------------------------------------
# LiteRT on a CPU; a compiled Keras function, in batches, where there is a GPU.
INFERENCE_BACKEND = environment.one_of("SKINCARE_INFERENCE_BACKEND", ("auto", "litert", "compiled"))
if INFERENCE_BACKEND == "auto":
    INFERENCE_BACKEND = "compiled" if Path("/dev/nvidia0").exists() else "litert"
INFERENCE_THREADS = environment.integer("SKINCARE_INFERENCE_THREADS", 1, minimum=1)
# Rows that a worker claims and commits together: full batches for a GPU; on a CPU, where the network reads them one
# by one (a batch costs more for each image there), enough to share the cost of a commit.
ANALYSIS_BATCH = 64 if INFERENCE_BACKEND == "compiled" else 16

# Each stands inside the next: a turn of reading (10 s), the limits on its task, the lease on what it reads.
CELERY_TASK_SOFT_TIME_LIMIT = 20
CELERY_TASK_TIME_LIMIT = 25
ANALYSIS_LEASE_SECONDS = environment.integer("SKINCARE_LEASE_SECONDS", 30, minimum=1)

# --- The queue: the database remembers, the broker only rings -----------------------------------------------------
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "diagnosis.read_waiting_cases": {"queue": "inference"},
    "training.run_waiting": {"queue": "training"},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0  # opening the network with TensorFlow takes longer than the usual 4 s
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives a broker that is away for hours
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # the lease guards what runs
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_keepalive": True, "health_check_interval": 10}
SWEEP_SECONDS = 2.0
SEAL_SECONDS = 1.0
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "diagnosis.sweep_analyses",
        "schedule": SWEEP_SECONDS,
        # What a worker was too busy or too dead to run is worthless when the next one comes.
        "options": {"queue": "default", "expires": SWEEP_SECONDS},
    },
    # Reminders, escalation, expiry; e-mail; webhooks.
    "referral clock": {"task": "diagnosis.referral_clock", "schedule": 60.0, "options": {"expires": 60.0}},
    "observations": {"task": "diagnosis.remind_of_observations", "schedule": 600.0, "options": {"expires": 600.0}},
    "notifications": {"task": "diagnosis.send_notifications", "schedule": 60.0, "options": {"expires": 60.0}},
    "webhooks": {"task": "diagnosis.deliver_webhooks", "schedule": 5.0, "options": {"expires": 5.0}},
    "figures": {"task": "diagnosis.count_figures", "schedule": 60.0, "options": {"expires": 60.0}},
    "sweep training": {
        "task": "training.sweep_runs",
        "schedule": SWEEP_SECONDS,
        "options": {"queue": "default", "expires": SWEEP_SECONDS},
    },
    "read in shadow": {
        "task": "diagnosis.read_in_shadow",
        "schedule": 5.0,
        "options": {"queue": "default", "expires": 5.0},
    },
    "record expiries": {"task": "diagnosis.record_expiries", "schedule": 10.0, "options": {"expires": 10.0}},
    "see reference sets": {"task": "diagnosis.see_reference_sets", "schedule": 60.0, "options": {"expires": 60.0}},
    "enforce retention": {"task": "diagnosis.enforce_retention", "schedule": 3600.0, "options": {"expires": 3600.0}},
    "finish erasures": {"task": "diagnosis.finish_erasures", "schedule": 900.0, "options": {"expires": 900.0}},
    "seal": {
        "task": "audit.seal_events",
        "schedule": SEAL_SECONDS,
        "options": {"queue": "default", "expires": SEAL_SECONDS},
    },
}

# --- Files --------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT: Path | None = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

BUCKET = environment.text("AWS_STORAGE_BUCKET_NAME")
MEDIA_ROOT = environment.text("MEDIA_ROOT") or str(VAR / "media")
# Files are sealed before they reach the storage, so it needs no public address for them.
MEDIA_URL = ""


def file_storage() -> dict[str, Any]:
    """S3 where AWS_STORAGE_BUCKET_NAME is set, otherwise the folder MEDIA_ROOT."""
    if not BUCKET:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    options: dict[str, Any] = {
        "bucket_name": BUCKET,
        "file_overwrite": False,
        "default_acl": None,
        # Two tries of at most 2 + 4 s: a clinician is told to send again rather than kept waiting for a minute.
        "client_config": Config(
            connect_timeout=2,
            read_timeout=4,
            retries={"total_max_attempts": 2, "mode": "standard"},
            s3={"addressing_style": environment.one_of("AWS_S3_ADDRESSING_STYLE", ("auto", "path", "virtual"))},
        ),
    }
    for option, variable in {
        "endpoint_url": "AWS_S3_ENDPOINT_URL",
        "region_name": "AWS_S3_REGION_NAME",
        "access_key": "AWS_ACCESS_KEY_ID",
        "secret_key": "AWS_SECRET_ACCESS_KEY",
        "security_token": "AWS_SESSION_TOKEN",
    }.items():
        if value := environment.text(variable):
            options[option] = value
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


STORAGES = {
    "default": file_storage(),
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Learning -----------------------------------------------------------------------------------------------------
# Manifests and decoded images of datasets, checkpoints of runs, and the bundles that runs made, by version's name.
DATASETS_ROOT = VAR / "datasets"
TRAINING_ROOT = VAR / "training"
BUNDLES_ROOT = VAR / "bundles"
# What `manage.py leakage` measured, for its page; where the web runs elsewhere, a shared folder as that of the bundles.
STUDIES_ROOT = VAR / "studies"
# What model stewards may choose from training/recipes.py; `local` adds one that only tries the machinery.
TRAINING_RECIPES = ["house", "paper"]
TRAINING_MOST_EPOCHS = 100
# A run takes hours, so its lease is renewed by a heartbeat, every quarter of it; whoever falls silent loses the run.
TRAINING_LEASE_SECONDS = environment.integer("SKINCARE_TRAINING_LEASE_SECONDS", 60, minimum=4)
TRAINING_RING_SECONDS = environment.integer("SKINCARE_TRAINING_RING_SECONDS", 30, minimum=1)
# A process that trains and tells nothing for so long hangs: it is ended and goes on from its checkpoint.
TRAINING_SILENCE_SECONDS = 3600
# So often a run that learns from patients' photographs asks whether it still may.
TRAINING_CONSENT_SECONDS = 10.0
# 0 to 19: how far training stands behind the workers that answer clinicians.
TRAINING_NICENESS = environment.integer("SKINCARE_TRAINING_NICENESS", 15)
# What a challenger must show on the frozen tests; training/gates.py says what each means. Changed here only, before a
# run and not after it.
TRAINING_GATES: dict[str, Any] = {
    "sensitivity_margin": 0.05,
    "specificity_margin": 0.10,
    "calibration_margin": 0.01,
    "collapse": 0.15,
    "abstention_margin": 0.05,
    "least_images": 10,
    "least_malignant": 50,
    "draws": 2000,
}
# Photographs of one contributor in a dataset of confirmed cases, so that no single hand shapes what is learnt.
TRAINING_MOST_PER_CONTRIBUTOR = 500
# How long a turn of the challenger in shadow may take, beside the sweeper that it shares a process with.
SHADOW_SECONDS = 1.0

# --- What a browser may do with our pages -------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

# --- REST ---------------------------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "diagnosis.api.authentication.ApiTokenAuthentication",
        "diagnosis.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["diagnosis.api.access.DeclaredAccess"],
    "DEFAULT_THROTTLE_CLASSES": ["diagnosis.api.throttles.PerUser"],
    "DEFAULT_THROTTLE_RATES": {
        # For each user. Ten screens that poll as fast as they may stay below.
        "reads": environment.rate("SKINCARE_RATE_READS", "6000/min"),
        "changes": environment.rate("SKINCARE_RATE_CHANGES", "600/min"),
        "submissions": environment.rate("SKINCARE_RATE_SUBMISSIONS", "600/min"),
        # Failed log-ins only.
        "login_account_and_address": environment.rate("SKINCARE_RATE_LOGIN_ACCOUNT_AND_ADDRESS", "10/min"),
        "login_account": environment.rate("SKINCARE_RATE_LOGIN_ACCOUNT", "100/h"),
        "login_address": environment.rate("SKINCARE_RATE_LOGIN_ADDRESS", "60/min"),
        # Wrong codes of second factors only, after the right password.
        "code_account_and_address": environment.rate("SKINCARE_RATE_CODE_ACCOUNT_AND_ADDRESS", "5/min"),
        "code_account": environment.rate("SKINCARE_RATE_CODE_ACCOUNT", "20/h"),
    },
    "DEFAULT_PARSER_CLASSES": ["diagnosis.api.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "diagnosis.api.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "diagnosis.api.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {"TOKEN_PREFIX": "skincare_"}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Skincare",
    "VERSION": "1",
    "DESCRIPTION": (
        "Photographs of skin lesions, read by a network, answered by doctors. It supports clinicians; it is not a "
        "diagnosis. Errors are problem documents (RFC 9457), times are UTC in ISO 8601, lists are paged by cursor."
    ),
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AnalysisState": "diagnosis.models.AnalysisState",
        "CaseState": "diagnosis.models.CaseState",
        "CloseReason": "diagnosis.models.CloseReason",
        "DecisionKind": "diagnosis.models.DecisionKind",
        "DeclineReason": "diagnosis.models.DeclineReason",
        "Diagnosis": "diagnosis.api.schema.DIAGNOSES",
        "EmergencyReason": "diagnosis.models.EmergencyReason",
        "ErasureReason": "diagnosis.models.ErasureReason",
        "ImageKind": "diagnosis.models.ImageKind",
        "OrganisationKind": "skincare.accounts.models.Organisation.Kind",
        "RunStage": "training.models.runs.Stage",
        "RunState": "training.models.RunState",
        "VersionState": "diagnosis.models.VersionState",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Readiness ----------------------------------------------------------------------------------------------------
READINESS_CHECKS = {
    "database": "skincare.health.checks.database",
    "broker": "skincare.health.checks.broker",
    "worker": "skincare.health.checks.worker",
    "model": "diagnosis.readiness.model",
}

# --- Metrics ------------------------------------------------------------------------------------------------------
# Parts of /metrics that are asked at each fetch, each a function that yields Prometheus' metrics.
METRICS = {
    "cases": "diagnosis.metrics.held",
    "training": "training.metrics.held",
    "audit": "skincare.audit.metrics.held",
}
# host:port where a Celery worker tells what it counted, on a machine without a web process.
WORKER_METRICS = environment.text("SKINCARE_WORKER_METRICS")

# --- Logs ---------------------------------------------------------------------------------------------------------
DJANGO_STRUCTLOG_CELERY_ENABLED = True
# The sweep runs every two seconds for ever; what a task does is told by its service, what fails is told anyway.
DJANGO_STRUCTLOG_CELERY_DEFAULT_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # OriginMiddleware has set or checked it
logs.configure()
