"""Rotation of master keys: killed half-way everything opens, and at the end the old key can go.

Of the index key: test_rotate_index_key.py.
"""

import base64
import os
import signal
import subprocess
import sys
from datetime import date
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import DataKey, Patient
from diagnosis.services.name_indexes import index_missing_names
from diagnosis.services.webhooks import create_webhook, secret_of
from skincare.accounts.models import Role
from skincare.audit.models import AuditEvent
from skincare.encryption import KeyRing, MasterKeyMissing, WrappedKey, new_data_key
from tests import factories

OLD, NEW = ("old", os.urandom(32)), ("new", os.urandom(32))


def make_keys(number: int) -> dict[Any, bytes]:
    """Wrapped under the old master key; returns what they are, by patient."""
    keys = {uuid4(): new_data_key() for _ in range(number)}
    ring = KeyRing([OLD])
    DataKey.objects.bulk_create(
        DataKey(id=owner, master_key_id="old", wrapped=ring.wrap(key, owner=owner).sealed)
        for owner, key in keys.items()
    )
    return keys


def opened(ring: KeyRing) -> dict[Any, bytes]:
    """All data keys, as this ring opens them."""
    return {
        row.pk: ring.unwrap(WrappedKey(row.master_key_id, bytes(row.wrapped)), owner=row.pk)
        for row in DataKey.objects.all()
    }


def rotate(**options: Any) -> str:
    said = StringIO()
    call_command("rotate_keys", stdout=said, **options)
    return said.getvalue()


@pytest.mark.django_db(transaction=True)
def test_killed_half_way_everything_opens_and_run_again_the_new_key_alone_opens_everything(
    process_environment: dict[str, str],
) -> None:
    keys = make_keys(2000)
    both = ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in (NEW, OLD))
    environment = {**process_environment, "SKINCARE_MASTER_KEYS": both}
    command = [sys.executable, "manage.py", "rotate_keys"]

    process = subprocess.Popen([*command, "--batch=5"], env=environment, stderr=subprocess.PIPE)
    while not DataKey.objects.filter(master_key_id="new").exists():
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()

    rotated = DataKey.objects.filter(master_key_id="new").count()
    assert 0 < rotated < len(keys)
    assert opened(KeyRing([NEW, OLD])) == keys
    with pytest.raises(MasterKeyMissing):
        opened(KeyRing([NEW]))
    assert sum(event.details["number"] for event in AuditEvent.objects.filter(action="data_keys.rotated")) == rotated

    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert f"{len(keys) - rotated} data keys wrapped under master key 'new'" in again.stdout
    assert "No data key needs master key 'old' any more" in again.stdout
    assert opened(KeyRing([NEW])) == keys
    assert sum(event.details["number"] for event in AuditEvent.objects.filter(action="data_keys.rotated")) == 2000


@pytest.mark.django_db
class TestRotation:
    def test_what_was_sealed_before_is_read_after_it(self, settings: Any) -> None:
        settings.SKINCARE_MASTER_KEYS = [OLD]
        patient = factories.patient(factories.clinician(), name="Ada Example")
        settings.SKINCARE_MASTER_KEYS = [NEW, OLD]
        rotate()
        settings.SKINCARE_MASTER_KEYS = [NEW]
        assert type(patient).objects.get(pk=patient.pk).name == "Ada Example"

    def test_without_a_key_that_is_needed_nothing_is_changed_and_the_key_is_named(self, settings: Any) -> None:
        keys = make_keys(3)
        settings.SKINCARE_MASTER_KEYS = [NEW]
        with pytest.raises(CommandError, match=r"nothing was changed.*'old' \(3 data keys\)"):
            rotate()
        assert opened(KeyRing([OLD])) == keys

    def test_repeated_it_finds_nothing_to_do(self, settings: Any) -> None:
        make_keys(3)
        settings.SKINCARE_MASTER_KEYS = [NEW, OLD]
        assert rotate(batch=2).startswith("3 data keys")
        before = list(DataKey.objects.order_by("pk").values("pk", "master_key_id"))
        assert rotate().startswith("0 data keys")
        assert list(DataKey.objects.order_by("pk").values("pk", "master_key_id")) == before
        assert AuditEvent.objects.filter(action="data_keys.rotated").count() == 2

    def test_who_was_recorded_before_names_were_indexed_is_found_afterwards(self, settings: Any) -> None:
        settings.SKINCARE_MASTER_KEYS = [OLD]
        clinician = factories.clinician()
        found, without_date, damaged = (
            factories.patient(clinician, name="Ada Example", **fields) for fields in ({}, {"birth_date": None}, {})
        )
        Patient.objects.update(name_index=None, index_key_id="")
        Patient.objects.filter(pk=damaged.pk).update(sealed_name=b"\x01" + bytes(60))
        settings.SKINCARE_MASTER_KEYS = [NEW]
        assert index_missing_names(Patient, DataKey) == (0, 2)
        settings.SKINCARE_MASTER_KEYS = [NEW, OLD]

        with pytest.raises(CommandError, match=rf"1 patients could not be indexed anew.*{damaged.pk}"):
            rotate()

        clinics = [found.organisation]
        assert list(Patient.objects.with_name("example ada", date(1970, 5, 17), clinics)) == [found]
        assert index_missing_names(Patient, DataKey) == (0, 1)
        assert Patient.objects.get(pk=without_date.pk).name_index is None

    def test_a_webhook_keeps_its_secret_and_needs_the_old_key_no_more(self, settings: Any) -> None:
        settings.SKINCARE_MASTER_KEYS = [OLD]
        administrator = factories.member(Role.ADMINISTRATOR)
        clinic = factories.organisation_of(administrator)
        webhook, secret = create_webhook(user=administrator, organisation=clinic, url="https://1.1.1.1/hook")
        settings.SKINCARE_MASTER_KEYS = [NEW, OLD]
        assert "1 secrets of webhooks were sealed anew" in rotate()
        assert "webhooks" not in rotate()
        settings.SKINCARE_MASTER_KEYS = [NEW]
        webhook.refresh_from_db()
        assert secret_of(webhook) == secret
        assert secret not in webhook.sealed_secret

    def test_an_old_key_that_is_still_needed_is_not_called_superfluous(self, settings: Any) -> None:
        make_keys(1)
        settings.SKINCARE_MASTER_KEYS = [OLD, NEW]
        said = rotate()
        assert "No data key needs master key 'new'" in said
        assert "No data key needs master key 'old'" not in said

    def test_a_damaged_data_key_is_named_and_left_and_the_others_are_rotated(self, settings: Any) -> None:
        keys = make_keys(4)
        damaged = next(iter(keys))
        DataKey.objects.filter(pk=damaged).update(wrapped=b"\x01" + bytes(60))
        settings.SKINCARE_MASTER_KEYS = [NEW, OLD]
        with pytest.raises(CommandError, match=str(damaged)):
            rotate(batch=2)
        assert DataKey.objects.filter(master_key_id="new").count() == 3
        assert bytes(DataKey.objects.get(pk=damaged).wrapped) == b"\x01" + bytes(60)
