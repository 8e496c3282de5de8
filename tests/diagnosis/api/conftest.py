"""What the tests of the API share: clients that sign in as somebody, and a look at all that is stored."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache

from diagnosis.api.throttles import counters
from diagnosis.models import Analysis, Case, CaseImage, ConsentEvent, Lesion, Patient
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for


@pytest.fixture(autouse=True)
def _no_counts_of_other_tests() -> None:
    cache.clear()
    counters.silent_until = 0.0


@pytest.fixture
def clinician(db: None) -> User:
    """A clinician of a new clinic."""
    return factories.clinician()


@pytest.fixture
def api(clinician: User) -> ApiClient:
    """Requests by the clinician, with a token that may read and write."""
    return ApiClient(token_for(clinician))


Stored = tuple[dict[str, int], set[Path]]


@pytest.fixture
def stored() -> Callable[[], Stored]:
    """All that is stored now: rows by table, and files."""

    def look() -> Stored:
        tables = (Patient, Lesion, ConsentEvent, Case, CaseImage, Analysis, AuditEvent)
        files = {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}
        return {table.__name__: table.objects.count() for table in tables}, files

    return look
