"""The people and the case that pages are about."""

import pytest

from diagnosis.models import Case
from skincare.accounts.models import Organisation, Role, User
from tests import factories


@pytest.fixture
def service(reader: User) -> Organisation:
    return factories.organisation_of(reader)


@pytest.fixture
def lead(service: Organisation) -> User:
    return factories.member(Role.ADMINISTRATOR, service)


@pytest.fixture
def case(clinician: User) -> Case:
    return factories.referrable_case(clinician)
