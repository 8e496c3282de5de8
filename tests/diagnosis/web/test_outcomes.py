"""What lesions turned out to be: entered on a page, one by one and from a file."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from diagnosis.models import Case, Outcome, Plan
from skincare.accounts.models import Organisation, User
from tests import factories
from tests.diagnosis.referrals.walking import read, sign
from tests.diagnosis.web.forms import refused
from tests.diagnosis.web.test_worklist import browser_of

pytestmark = pytest.mark.django_db
TODAY = timezone.now().date()


class TestOutcomeOfALesion:
    RIGHT = {
        "kind": "histology",
        "diagnosis": "melanoma-in-situ",
        "determined_on": TODAY.isoformat(),
        "note": "Margins\r\nclear",
    }

    def address(self, case: Case) -> str:
        return f"/outcomes/{case.lesion_id}/"

    def test_it_is_recorded_and_can_be_corrected(self, clinician: User, case: Case) -> None:
        browser = browser_of(clinician)
        answer = browser.post(self.address(case), self.RIGHT)
        assert (answer.status_code, answer["Location"]) == (303, self.address(case))
        first = Outcome.objects.get()
        assert (first.diagnosis, first.note, first.recorded_by) == ("melanoma-in-situ", "Margins\nclear", clinician)
        browser.post(self.address(case), {**self.RIGHT, "diagnosis": "nevus", "corrects": str(first.pk)})
        assert Outcome.objects.get(diagnosis="nevus").corrects == first
        page = browser.get(self.address(case)).content.decode()
        assert page.index("Nevus") < page.index("Corrected")

    @pytest.mark.parametrize(
        ("field", "wrong", "says"),
        [
            ("diagnosis", "", "choose a diagnosis"),
            ("diagnosis", "flu", "not a diagnosis"),
            ("kind", "", "is not one of"),
            ("determined_on", "yesterday", "on which day"),
            ("determined_on", (TODAY + timedelta(days=2)).isoformat(), "in the future"),
            ("corrects", "x", "is no outcome"),
        ],
    )
    def test_what_is_wrong_names_its_field_and_loses_nothing(
        self, clinician: User, case: Case, field: str, wrong: str, says: str
    ) -> None:
        browser = browser_of(clinician)
        if field == "corrects":
            browser.post(self.address(case), self.RIGHT)
        before = Outcome.objects.count()
        page = refused(browser.post(self.address(case), {**self.RIGHT, "note": "kept words", field: wrong}), field)
        assert says in page
        assert "kept words</textarea>" in page
        if field != "kind":
            assert re.search(r'value="histology"[^>]* checked', page)
        if field != "diagnosis":
            assert re.search(r'value="melanoma-in-situ"[^>]* selected', page)
        assert Outcome.objects.count() == before

    @pytest.mark.parametrize(("plan", "is_said"), [(Plan.EXCISE, True), (Plan.SEE_IN_PERSON, False)])
    def test_that_only_histology_ends_the_wait_is_said_until_it_is_there(
        self, clinician: User, plan: Plan, is_said: bool
    ) -> None:
        reader, browser = factories.dermatologist(), browser_of(clinician)
        referral = factories.accepted_referral(clinician, reader)
        read(reader, referral)
        sign(reader, referral, plan=plan)
        address = self.address(referral.case)
        browser.post(address, {**self.RIGHT, "kind": "follow_up"})
        assert ("until histology is there" in browser.get(address).content.decode()) == is_said
        browser.post(address, self.RIGHT)
        assert "until histology is there" not in browser.get(address).content.decode()

    def test_of_another_clinic_there_is_none(self, case: Case) -> None:
        stranger = browser_of(factories.clinician())
        assert stranger.get(self.address(case)).status_code == 404
        assert stranger.post(self.address(case), self.RIGHT).status_code == 404


class TestOutcomesFromAFile:
    HEAD = "lesion,kind,diagnosis,determined_on,note\n"

    def send(self, browser: Client, clinic: Organisation, text: str | bytes) -> Any:
        content = text if isinstance(text, bytes) else text.encode()
        file = SimpleUploadedFile("outcomes.csv", content, "text/csv")
        return browser.post("/outcomes/import/", {"organisation": str(clinic.pk), "file": file})

    def test_a_dry_run_changes_nothing_and_the_second_press_does_it(self, clinician: User, case: Case) -> None:
        browser, clinic = browser_of(clinician), factories.organisation_of(clinician)
        text = f"{self.HEAD}{case.lesion_id},histology,melanoma,{TODAY},\n"
        page = self.send(browser, clinic, text).content.decode()
        assert "would be recorded: 1" in page
        assert not Outcome.objects.exists()
        kept = html.unescape(page.partition('name="content" aria-hidden="true">')[2].partition("</textarea>")[0])
        assert kept == text
        done = browser.post("/outcomes/import/", {"organisation": str(clinic.pk), "content": kept, "apply": ""})
        assert "recorded: 1" in done.content.decode()
        assert Outcome.objects.get().diagnosis == "melanoma"
        again = self.send(browser, clinic, text).content.decode()
        assert "known already: 1" in again

    def test_one_refused_line_stands_first_and_keeps_all_out(self, clinician: User, case: Case) -> None:
        browser, clinic = browser_of(clinician), factories.organisation_of(clinician)
        text = f"{self.HEAD}{case.lesion_id},histology,melanoma,{TODAY},\n{case.lesion_id},histology,flu,{TODAY},\n"
        page = self.send(browser, clinic, text).content.decode()
        assert "refused: 1" in page
        assert page.index("<td>3</td>") < page.index("<td>2</td>")
        assert 'name="apply"' not in page

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{lesion},histology,flu,2026-11-20,", "هذا ليس تشخيصًا"),
            ("7,histology,melanoma,2026-11-20,", "تُذكر الآفة بمعرّفها"),
            ("00000000-0000-4000-8000-000000000000,histology,melanoma,2026-11-20,", "لا توجد في هذه العيادة آفة"),
        ],
    )
    def test_a_refused_line_speaks_the_readers_language(
        self, clinician: User, case: Case, line: str, says: str
    ) -> None:
        browser = browser_of(clinician)
        browser.post("/appearance/", {"language": "ar"})
        text = f"{self.HEAD}{line.format(lesion=case.lesion_id)}\n"
        assert says in self.send(browser, factories.organisation_of(clinician), text).content.decode()

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("lesion,kind\n", "missing: diagnosis, determined_on"),
            (b"\xff\xfe", "not text in UTF-8"),
            ("x" * 600_000, "more than 500 KB"),
        ],
    )
    def test_a_file_that_is_none_is_refused(self, clinician: User, content: str | bytes, says: str) -> None:
        answer = self.send(browser_of(clinician), factories.organisation_of(clinician), content)
        assert says in refused(answer, "file")

    def test_without_a_file_and_for_a_foreign_clinic(self, clinician: User) -> None:
        browser = browser_of(clinician)
        own = {"organisation": str(factories.organisation_of(clinician).pk)}
        assert "choose a file" in refused(browser.post("/outcomes/import/", own), "file")
        foreign = browser.post("/outcomes/import/", {"organisation": str(factories.organisation().pk)})
        assert foreign.status_code == 422
        assert "choose one of your clinics" in foreign.content.decode()
