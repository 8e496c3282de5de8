"""A service's own pages: how it takes referrals, and whom it tells."""

import re
from typing import Any

import pytest

from diagnosis.models import ServicePolicy, Webhook, WebhookDelivery
from diagnosis.services import webhooks
from diagnosis.services.service_policies import HOURS
from skincare.accounts.models import Organisation, Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.web.forms import refused, tag
from tests.diagnosis.web.test_worklist import browser_of

pytestmark = pytest.mark.django_db


class TestRulesOfAService:
    def form(self, service: Organisation, **changes: str) -> dict[str, Any]:
        usual = {name: str(getattr(ServicePolicy(), name)) for name in HOURS}
        return {**usual, "blind_read": "on", "open_to_all_clinics": "on", **changes}

    def test_an_administrator_changes_them_and_it_is_recorded(self, lead: User, service: Organisation) -> None:
        browser, address = browser_of(lead), f"/services/{service.pk}/rules/"
        form = self.form(service, hours_soon="48")
        del form["blind_read"]
        assert browser.post(address, form)["Location"] == f"{address}?saved"
        policy = ServicePolicy.objects.get(service=service)
        assert (policy.hours_soon, policy.blind_read) == (48, False)
        assert AuditEvent.objects.filter(actor=lead, object_id=str(service.pk)).exists()

    @pytest.mark.parametrize(
        ("field", "wrong", "says"),
        [("hours_soon", "soon", "not a whole number"), ("hours_soon", "0", "hours are possible"),
         ("hours_soon", "2000", "must not have longer")],
    )  # fmt: skip
    def test_what_is_wrong_names_its_field_and_loses_nothing(
        self, lead: User, service: Organisation, field: str, wrong: str, says: str
    ) -> None:
        answer = browser_of(lead).post(
            f"/services/{service.pk}/rules/", self.form(service, expire_after_hours="777", **{field: wrong})
        )
        page = refused(answer, field)
        assert says in page
        assert 'value="777"' in tag(page, "expire_after_hours")
        assert f'value="{wrong}"' in tag(page, field)
        assert not ServicePolicy.objects.filter(service=service).exists()

    def test_where_nobody_may_refer_it_says_so(self, lead: User, service: Organisation) -> None:
        form = self.form(service)
        del form["open_to_all_clinics"]
        factories.organisation()
        page = refused(browser_of(lead).post(f"/services/{service.pk}/rules/", form), "clinics")
        assert "name the clinics" in page

    def test_a_dermatologist_reads_them_and_changes_nothing(self, reader: User, service: Organisation) -> None:
        browser, address = browser_of(reader), f"/services/{service.pk}/rules/"
        assert '<fieldset class="plain stack" disabled>' in browser.get(address).content.decode()
        assert browser.post(address, self.form(service)).status_code == 404


class TestWebhooks:
    def test_registered_once_shown_renewed_and_switched_off(
        self, lead: User, service: Organisation, clinician: User, settings: Any
    ) -> None:
        settings.WEBHOOKS_TO_PRIVATE = True
        browser, address = browser_of(lead), f"/services/{service.pk}/webhooks/"
        form = {"do": "create", "url": "http://127.0.0.1:9/x", "events": ["accept", "answer"]}
        page = browser.post(address, form).content.decode()
        row = Webhook.objects.get()
        assert row.events == ["accept", "answer"]
        assert webhooks.secret_of(row) in page
        assert "A dermatologist took it on" in page
        assert webhooks.secret_of(row) not in browser.get(address).content.decode()
        old = webhooks.secret_of(row)
        assert "secret, shown this once" in browser.post(address, {"do": f"renew:{row.pk}"}).content.decode()
        row.refresh_from_db()
        assert webhooks.secret_of(row) != old
        factories.accept_referral(
            user=factories.dermatologist(service), referral_id=factories.referral(clinician, service).pk
        )
        delivery = WebhookDelivery.objects.get()
        WebhookDelivery.objects.update(state="given_up")
        browser.post(address, {"do": f"resend:{delivery.pk}"})
        assert WebhookDelivery.objects.filter(state="waiting").exists()
        assert browser.post(address, {"do": f"off:{row.pk}"})["Location"] == address
        row.refresh_from_db()
        assert not row.active

    @pytest.mark.parametrize(
        ("url", "says"), [("http://example.org/x", "https"), ("https://10.0.0.1/x", "not a public address")]
    )
    def test_an_address_that_is_not_called_is_refused_and_kept_in_the_form(
        self, lead: User, service: Organisation, url: str, says: str
    ) -> None:
        form = {"do": "create", "url": url, "events": ["answer"]}
        page = refused(browser_of(lead).post(f"/services/{service.pk}/webhooks/", form), "url")
        assert says in page
        assert f'value="{url}"' in tag(page, "url")
        assert re.search(r'value="answer" checked', page)
        assert not Webhook.objects.exists()

    def test_of_another_organisation_there_are_none(self, service: Organisation, lead: User) -> None:
        other = browser_of(factories.member(Role.ADMINISTRATOR, factories.organisation()))
        assert other.post(f"/services/{service.pk}/webhooks/", {"do": "create"}).status_code == 404
        assert browser_of(lead).post(f"/services/{service.pk}/webhooks/", {"do": "erase"}).status_code == 404
