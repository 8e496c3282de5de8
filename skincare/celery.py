"""Celery: the bell that wakes the workers, and the clock that sweeps. See ``diagnosis.services.analysis_queue``."""

import os

from celery import Celery
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")

app = Celery("skincare")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# A worker's log names the request that rang for it.
app.steps["worker"].add(DjangoStructLogInitStep)
