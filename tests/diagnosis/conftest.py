"""The people whom most tests here are about."""

import pytest

from skincare.accounts.models import User
from tests import factories


@pytest.fixture
def clinician() -> User:
    return factories.clinician()


@pytest.fixture
def reader() -> User:
    return factories.dermatologist()
