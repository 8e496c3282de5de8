"""The audit record: part of what it records, never changed, and sparing with reads."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from skincare.audit.models import AuditEvent
from skincare.audit.record import quarter_hour, record, record_reads
from tests import factories


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_refused() -> None:
    subject = factories.organisation()
    with pytest.raises(transaction.TransactionManagementError, match=r"organisation\.renamed"):
        record("organisation.renamed", subject, actor=None)


@pytest.mark.django_db(transaction=True)
def test_an_event_goes_away_with_the_transaction_that_it_records() -> None:
    subject = factories.organisation()

    def rename_and_fail() -> None:
        with transaction.atomic():
            record("organisation.renamed", subject, actor=None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rename_and_fail()
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_events_cannot_be_changed_or_deleted_even_past_the_service(verb: str) -> None:
    record("organisation.created", factories.organisation(), actor=None)
    events = AuditEvent.objects.all()
    with pytest.raises(IntegrityError, match="append-only"):
        events.update(action="nothing") if verb == "update" else events._raw_delete("default")


@pytest.mark.django_db
def test_reads_are_recorded_once_for_user_patient_and_quarter_of_an_hour() -> None:
    ada, ben, organisation, patient = factories.user(), factories.user(), uuid4(), uuid4()
    record_reads(ada, [(organisation, patient), (organisation, patient)])
    record_reads(ada, [(organisation, patient), (organisation, uuid4())])
    record_reads(ben, [(organisation, patient)])
    assert AuditEvent.objects.filter(actor=ada, patient_id=patient).count() == 1
    assert AuditEvent.objects.count() == 3
    earlier = quarter_hour(timezone.now()) - timedelta(minutes=15)
    AuditEvent.objects.create(
        actor=ada, action="patient.read", patient_id=patient, object_type="patient", read_quarter=earlier
    )
    assert AuditEvent.objects.filter(actor=ada, patient_id=patient).count() == 2


@pytest.mark.parametrize(("minute", "quarter"), [(0, 0), (14, 0), (15, 15), (44, 30), (59, 45)])
def test_quarters_begin_at_0_15_30_and_45(minute: int, quarter: int) -> None:
    moment = datetime(2026, 11, 23, 9, minute, 58, 123, tzinfo=UTC)
    assert quarter_hour(moment) == datetime(2026, 11, 23, 9, quarter, tzinfo=UTC)
