"""What operators do in the Django admin is in the record, with who did it, and without what was written."""

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse

from skincare.accounts.models import Membership, Organisation, Role, User
from skincare.audit.by_hand import Recorded
from skincare.audit.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("operator@clinic.example", factories.PASSWORD)


@pytest.fixture
def browser(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def roles(person: User, *, added: tuple[Organisation, Role] | None = None, ended: bool = False) -> dict[str, object]:
    """The form of a person with their roles."""
    held = list(person.memberships.all())
    form: dict[str, object] = {
        "email": person.email,
        "is_active": "on",
        "memberships-INITIAL_FORMS": len(held),
        "memberships-TOTAL_FORMS": len(held) + bool(added),
    }
    for n, role in enumerate(held):
        form |= {
            f"memberships-{n}-id": str(role.pk),
            f"memberships-{n}-user": str(person.pk),
            f"memberships-{n}-organisation": str(role.organisation_id),
            f"memberships-{n}-role": role.role,
            **({f"memberships-{n}-DELETE": "on"} if ended else {}),
        }
    if added:
        n = len(held)
        form |= {
            f"memberships-{n}-user": str(person.pk),
            f"memberships-{n}-organisation": str(added[0].pk),
            f"memberships-{n}-role": added[1],
        }
    return form


def test_whoever_gives_or_takes_a_role_is_named(browser: Client, operator: User) -> None:
    clinic, person = factories.organisation(), factories.user()
    address = reverse("admin:accounts_user_change", args=[person.pk])

    assert browser.post(address, roles(person, added=(clinic, Role.CLINICIAN))).status_code == 302

    membership = Membership.objects.get(user=person)
    given = AuditEvent.objects.get(action="membership.given")
    assert (given.actor, given.organisation_id, given.object_id) == (operator, clinic.pk, str(membership.pk))
    assert given.details == {"user": str(person.pk), "role": "clinician"}

    assert browser.post(address, roles(person, ended=True)).status_code == 302

    assert not person.memberships.exists()
    ended = AuditEvent.objects.get(action="membership.ended")
    assert (ended.actor, ended.organisation_id, ended.object_id) == (operator, clinic.pk, str(membership.pk))


def test_additions_changes_and_deletions_are_recorded_without_what_was_written(browser: Client, operator: User) -> None:
    browser.post(reverse("admin:accounts_organisation_add"), {"name": "Secretly named", "kind": "clinic"})
    clinic = Organisation.objects.get(name="Secretly named")
    browser.post(
        reverse("admin:accounts_organisation_change", args=[clinic.pk]), {"name": "Named anew", "kind": "clinic"}
    )
    browser.post(reverse("admin:accounts_organisation_delete", args=[clinic.pk]), {"post": "yes"})

    events = AuditEvent.objects.filter(object_id=str(clinic.pk)).order_by("pk")
    assert [event.action for event in events] == ["admin.added", "admin.changed", "admin.deleted"]
    assert {event.actor for event in events} == {operator}
    assert events[1].details == {"fields": ["Name"]}
    assert "amed" not in str([event.details for event in events]).replace("Name", "")


def test_a_password_that_an_operator_sets_is_recorded(browser: Client) -> None:
    person = factories.user()
    new = "an entirely new passphrase"
    browser.post(
        reverse("admin:auth_user_password_change", args=[person.pk]),
        {"usable_password": "true", "password1": new, "password2": new},
    )
    person.refresh_from_db()
    assert person.check_password(new)
    assert AuditEvent.objects.filter(action="admin.changed", object_id=str(person.pk)).exists()


def test_no_page_of_the_admin_writes_without_recording(operator: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = operator
    writing = [
        page
        for page in admin.site._registry.values()
        if page.has_add_permission(request)
        or page.has_change_permission(request)
        or page.has_delete_permission(request)
    ]
    assert len(writing) >= 4
    assert [type(page).__name__ for page in writing if not isinstance(page, Recorded)] == []
