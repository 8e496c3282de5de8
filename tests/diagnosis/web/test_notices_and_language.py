"""Notices, and the language of pages and refusals."""

import re
from collections.abc import Iterator

import pytest
from django.utils import timezone, translation

from diagnosis.models import AnalysisState, Notification, NotificationPreference, ServicePolicy
from diagnosis.services.referrals import accept_referral
from diagnosis.services.service_policies import HOURS
from skincare.accounts.models import Organisation, User
from tests import factories
from tests.diagnosis.referrals.walking import read
from tests.diagnosis.web.forms import refused
from tests.diagnosis.web.test_worklist import browser_of

pytestmark = pytest.mark.django_db


class TestNotices:
    def test_how_one_is_told_is_chosen_and_all_is_marked_as_seen(self, clinician: User, reader: User) -> None:
        factories.accepted_referral(clinician, reader)
        browser = browser_of(clinician)
        assert Notification.objects.filter(user=clinician, seen_at__isnull=True).exists()
        assert browser.post("/notices/", {"mail": "daily"})["Location"] == "/notices/"
        assert NotificationPreference.objects.get(user=clinician).mail == "daily"
        assert re.search(r'value="daily"[^>]* checked', browser.get("/notices/").content.decode())
        assert Notification.objects.filter(user=clinician, seen_at__isnull=True).exists()
        browser.post("/notices/")
        assert not Notification.objects.filter(user=clinician, seen_at__isnull=True).exists()
        browser.post("/notices/", {"mail": "hourly"})
        assert NotificationPreference.objects.get(user=clinician).mail == "daily"


class TestInArabic:
    @pytest.fixture(autouse=True)
    def _as_it_was(self) -> Iterator[None]:
        """The client's requests leave their language to this thread."""
        with translation.override(translation.get_language()):
            yield

    def test_diagnoses_are_named_in_the_users_language_and_coded_in_the_dictionarys(
        self, clinician: User, reader: User
    ) -> None:
        referral = factories.accepted_referral(clinician, reader)
        browser = browser_of(reader)
        browser.post("/appearance/", {"language": "ar"})
        page = browser.get(f"/worklist/{referral.pk}/").content.decode()
        assert "سرطان الخلايا القاعدية" in page
        assert ">Nevus<" not in page
        assert re.search(r'value="nevus" data-words="[^"]*وحمة[^"]*nevus', page)
        row = browser.get("/api/v1/diagnoses/").json()[3]
        assert (row["code"], row["name"], row["levels"][-1]) == ("nevus", "وحمة", "Nevus")

    def test_why_the_network_has_no_answer_is_said_in_the_users_language(self, clinician: User, reader: User) -> None:
        referral = factories.accepted_referral(clinician, reader)
        analysis = referral.case.analysis
        analysis.state, analysis.finished_at = AnalysisState.FAILED, timezone.now()
        analysis.reason = "photograph_damaged"
        analysis.reason_text = "A stored photograph is damaged. Tried 3 times."
        analysis.save()
        read(reader, referral)
        browser = browser_of(reader)
        browser.post("/appearance/", {"language": "ar"})
        page = browser.get(f"/worklist/{referral.pk}/").content.decode()
        assert "إحدى الصور المحفوظة تالفة ولا يمكن فتحها." in page
        assert "Tried 3 times" not in page

    def test_what_is_refused_is_said_in_the_users_language(self, lead: User, service: Organisation) -> None:
        browser = browser_of(lead)
        browser.post("/appearance/", {"language": "ar"})
        form = {name: str(getattr(ServicePolicy(), name)) for name in HOURS} | {"hours_soon": "2000"}
        page = refused(browser.post(f"/services/{service.pk}/rules/", form), "hours_soon")
        assert "لا يجوز أن تكون مهلة الأكثر استعجالًا أطول" in page
        assert "Hours until" not in page

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("from=x", "يُكتب الشهر بصيغة"),
            ("from=2026-03&until=2026-02", "يقع الشهر الأول بعد الشهر الأخير"),
            ("from=2020-01&until=2026-02", "لا يُعرض أكثر من 36 شهرًا"),
        ],
    )
    def test_what_is_no_period_is_said_in_the_users_language(self, reader: User, query: str, says: str) -> None:
        browser = browser_of(reader)
        browser.post("/appearance/", {"language": "ar"})
        answer = browser.get(f"/insight/?{query}")
        assert (answer.status_code, says in answer.content.decode()) == (422, True)

    def test_what_changed_of_a_lesion_is_named_in_the_users_language(self, clinician: User, reader: User) -> None:
        earlier = factories.referrable_case(clinician)
        clinical = factories.ClinicalData(
            suspicion=factories.Suspicion.MALIGNANT, checklist={"change_in_size": True}, bleeding=True, growth=True
        )
        later = factories.submit(
            clinician,
            factories.new_case(consents=[], patient=earlier.patient_id, lesion=earlier.lesion_id, clinical=clinical),
        ).case
        referral = factories.referral(clinician, factories.organisation_of(reader), of=later)
        accept_referral(user=reader, referral_id=referral.pk)
        read(reader, referral)
        browser = browser_of(reader)
        page = browser.get(f"/worklist/{referral.pk}/beside/").content.decode()
        assert "new: Change in size, Bleeding, Growth" in page
        browser.post("/appearance/", {"language": "ar"})
        page = browser.get(f"/worklist/{referral.pk}/beside/").content.decode()
        assert "تغيّر في الحجم، نزف، نمو" in page
