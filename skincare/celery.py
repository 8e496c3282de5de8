"""Celery: the bell that wakes the workers, and the clock that sweeps. See ``diagnosis.services.analysis_queue``."""

import os

from celery import Celery
from django_structlog.celery.steps import DjangoStructLogInitStep
from kombu.transport.virtual import Channel

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")

app = Celery("skincare")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# A worker's log names the request that rang for it.
app.steps["worker"].add(DjangoStructLogInitStep)

# A ring that was not acknowledged when the line broke is not put back: the sweep rings again for whatever waits. kombu
# 5.7 tries to put it back over the broken line, and now and then the worker dies of that (`make soak` found it).
Channel.do_restore = False
