"""Similar confirmed cases and what changed: after the reader's own read, and from what the reader may see."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import ConsentScope, OutcomeKind, ReferenceEmbeddings, ReferenceSet, Referral
from diagnosis.models.sealed import place_of
from diagnosis.services import reference_sets
from diagnosis.services.analysis_queue import answer, claim
from diagnosis.services.erasure import erase_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.model_versions import register_shipped
from diagnosis.services.outcomes import NewOutcome, record_outcome
from diagnosis.services.reference_sets import (
    cosine_distances,
    import_reference_set,
    read_folder,
    see_reference_sets,
    unit,
)
from diagnosis.services.similar import How, Nearness, similar_cases
from diagnosis.services.visits import visits_of
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.encryption import seal
from tests import factories
from tests.diagnosis.referrals.walking import read, sign
from tests.diagnosis.services.answers import answered

pytestmark = pytest.mark.django_db

MELANOMA = diagnoses()["melanoma"].name
SAMPLE = Path(__file__).parents[3] / "diagnosis" / "demo" / "references"


def embedding(*first: float) -> Any:
    """An embedding that is known by its first numbers."""
    vector = np.zeros(1280, "<f4")
    vector[: len(first)] = first
    return vector


def network_reads(vector: Any, risk: float = 0.25) -> None:
    """The network answers what waits, and sees this."""
    lease = claim(limit=100)
    assert lease is not None
    for analysis in lease.analyses:
        answered(analysis, risk)
        analysis.sealed_embedding = seal(analysis.data_key(), vector.tobytes(), place=place_of(analysis, "embedding"))
    answer(lease, lease.analyses)


def answered_case(clinician: User, reader: User, *first: float, diagnosis: str = "melanoma") -> Referral:
    """A referral that was read and answered."""
    referral = factories.accepted_referral(clinician, reader)
    network_reads(embedding(*first))
    read(reader, referral, diagnosis)
    sign(reader, referral, diagnosis=diagnosis)
    return referral


@pytest.fixture
def referral(clinician: User, reader: User) -> Referral:
    """One that the reader has accepted and not read yet."""
    made = factories.accepted_referral(clinician, reader)
    network_reads(embedding(1.0))
    return made


def found(reader: User, referral: Referral) -> list[str]:
    """What is shown, the most alike first."""
    return [each.diagnosis for each in similar_cases(user=reader, referral=referral).cases]


class TestWhich:
    def test_the_most_alike_come_first_with_how_they_are_known(
        self, clinician: User, reader: User, referral: Referral
    ) -> None:
        far = answered_case(clinician, reader, 0.1, 1.0, diagnosis="dermatofibroma")
        near = answered_case(clinician, reader, 1.0, 0.1, diagnosis="nevus")
        new = NewOutcome(near.case.lesion_id, OutcomeKind.HISTOLOGY, "melanoma-in-situ", date(2026, 1, 5))
        record_outcome(user=clinician, new=new)
        read(reader, referral)
        result = similar_cases(user=reader, referral=referral)
        assert [(each.diagnosis, each.how) for each in result.cases] == [
            ("Melanoma in situ", How.HISTOLOGY),
            ("Dermatofibroma", How.ASSESSMENT),
        ]
        assert result.cases[0].malignant
        assert not result.cases[1].malignant
        assert result.cases[0].distance < 0.01 < 0.8 < result.cases[1].distance
        assert (result.searched, result.bounded) == (2, False)
        assert {each.nearness for each in result.cases} == {Nearness.UNKNOWN}
        seen = AuditEvent.objects.filter(actor=reader, action="patient.read").values_list("patient_id", flat=True)
        assert {near.case.patient_id, far.case.patient_id} <= set(seen)

    def test_nothing_before_the_readers_own_read(self, clinician: User, reader: User, referral: Referral) -> None:
        other = answered_case(clinician, reader, 1.0)
        browser = Client()
        browser.force_login(reader)
        image = other.case.images.get()
        addresses = [f"/worklist/{referral.pk}/beside/", f"/worklist/{referral.pk}/similar/{image.pk}/"]
        apis = [f"/api/v1/referrals/{referral.pk}/{what}/" for what in ("similar", "visits")]
        with pytest.raises(Conflict, match="own read"):
            similar_cases(user=reader, referral=referral)
        assert [browser.get(address).status_code for address in addresses] == [404, 404]
        assert [browser.get(address).status_code for address in apis] == [409, 409]
        assert b'id="beside"' not in browser.get(f"/worklist/{referral.pk}/").content
        read(reader, referral)
        assert [browser.get(address).status_code for address in addresses] == [200, 200]
        assert [browser.get(address).status_code for address in apis] == [200, 200]
        assert b'id="beside"' in browser.get(f"/worklist/{referral.pk}/").content

    @pytest.mark.parametrize("scope", [ConsentScope.ANALYSIS, ConsentScope.TELEDERMATOLOGY])
    def test_a_withdrawn_consent_ends_it_at_once(
        self, clinician: User, reader: User, referral: Referral, scope: ConsentScope
    ) -> None:
        other = answered_case(clinician, reader, 1.0)
        read(reader, referral)
        assert found(reader, referral) == [MELANOMA]
        factories.withdraw(other.case.patient, clinician, scope)
        assert found(reader, referral) == []
        browser = Client()
        browser.force_login(reader)
        assert browser.get(f"/worklist/{referral.pk}/similar/{other.case.images.get().pk}/").status_code == 404

    def test_nothing_of_an_erased_patient(self, clinician: User, reader: User, referral: Referral) -> None:
        other = answered_case(clinician, reader, 1.0)
        administrator = factories.member(factories.Role.ADMINISTRATOR, factories.organisation_of(clinician))
        read(reader, referral)
        erase_patient(user=administrator, patient_id=other.case.patient_id, reason="patient_request")
        assert found(reader, referral) == []

    def test_nothing_of_another_service_of_the_same_patient_or_unanswered(
        self, clinician: User, reader: User, referral: Referral
    ) -> None:
        foreign = answered_case(clinician, factories.dermatologist(), 1.0)
        factories.accepted_referral(clinician, reader)
        network_reads(embedding(1.0))
        read(reader, referral)
        assert found(reader, referral) == []
        browser = Client()
        browser.force_login(reader)
        assert browser.get(f"/worklist/{referral.pk}/similar/{foreign.case.images.get().pk}/").status_code == 404

    def test_only_as_many_as_are_allowed_are_opened(
        self, clinician: User, reader: User, referral: Referral, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answered_case(clinician, reader, 1.0, diagnosis="nevus")
        answered_case(clinician, reader, 0.5, 0.5, diagnosis="melanoma")
        read(reader, referral)
        monkeypatch.setattr("diagnosis.services.similar.MOST_OPENED", 1)
        result = similar_cases(user=reader, referral=referral)
        assert ([each.diagnosis for each in result.cases], result.bounded) == ([MELANOMA], True)

    def test_without_an_answer_there_is_nothing_to_compare_by(self, clinician: User, reader: User) -> None:
        waiting = factories.accepted_referral(clinician, reader)
        read(reader, waiting)
        with pytest.raises(Conflict, match="no answer"):
            similar_cases(user=reader, referral=waiting)


@given(arrays("float32", (9, 64), elements=st.floats(-1, 1, width=32, allow_subnormal=False)))
def test_nothing_is_nearer_than_the_same(drawn: np.ndarray) -> None:
    vectors = unit(drawn + np.eye(9, 64, dtype="float32") * 2)  # none of length 0
    for own in vectors:
        assert (cosine_distances(vectors, own) >= 0).all()


class TestReferenceSets:
    def test_the_sample_is_imported_seen_once_and_put_into_words(self, clinician: User, reader: User) -> None:
        register_shipped()
        call_command("import_reference_set", str(SAMPLE), verbosity=0)
        call_command("import_reference_set", str(SAMPLE), verbosity=0)
        imported = ReferenceSet.objects.get()
        assert imported.licence == "CC BY-NC 4.0"
        assert imported.images.count() == 35
        row = ReferenceEmbeddings.objects.get()
        assert 0 < row.near < row.close < row.alike < 1
        assert see_reference_sets() == 0
        seen = reference_sets.seen_by(row.model_version_id)[0]
        # Each is nearest to itself, and the next nearest is more often of its own class than one in seven.
        matrix = seen.matrix.astype("f4")
        distances = 1 - matrix @ matrix.T
        assert (np.argmin(distances, axis=1) == np.arange(35)).all()
        np.fill_diagonal(distances, 2)
        classes = np.array(imported.images.values_list("network_class", flat=True))
        assert (classes[np.argmin(distances, axis=1)] == classes).mean() > 0.4
        referral = factories.accepted_referral(clinician, reader)
        lease = claim(limit=1)
        assert lease is not None
        answered(lease.analyses[0])
        lease.analyses[0].model_version_id = row.model_version_id
        vector = seen.matrix[3].astype("<f4")
        lease.analyses[0].sealed_embedding = seal(
            lease.analyses[0].data_key(), vector.tobytes(), place=place_of(lease.analyses[0], "embedding")
        )
        answer(lease, lease.analyses)
        read(reader, referral)
        first = similar_cases(user=reader, referral=referral).references[0]
        assert first.reference is not None
        assert first.reference.pk == seen.images[3]
        assert first.nearness == Nearness.VERY_ALIKE
        browser = Client()
        browser.force_login(reader)
        page = browser.get(f"/worklist/{referral.pk}/beside/?part=beside").content.decode()
        assert "very alike to the network" in page
        assert "Not evidence" in page
        assert "Tschandl" in page
        assert browser.get(f"/worklist/references/{first.reference.pk}/")["Content-Type"] == "image/jpeg"
        assert browser.get(f"/api/v1/reference-images/{first.reference.pk}/content/").status_code == 200
        assert Client().get(f"/worklist/references/{first.reference.pk}/").status_code == 302

    def test_a_large_set_is_seen_in_turns_and_compared_once_it_was_seen_as_a_whole(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register_shipped()
        about, images = read_folder(SAMPLE)
        import_reference_set(about=about, images=images)
        clock = iter(range(100))
        monkeypatch.setattr(reference_sets.time, "monotonic", lambda: float(next(clock)))
        monkeypatch.setattr(reference_sets, "TURN_SECONDS", 10.0)
        seen = []
        while not seen or seen[-1] < 35:
            finished = see_reference_sets()
            row = ReferenceEmbeddings.objects.get()
            seen.append(row.seen)
            assert (
                finished
                == (row.seen == 35)
                == (row.near is not None)
                == bool(reference_sets.seen_by(row.model_version_id))
            )
            clock = iter(range(100))
        assert seen == [10, 20, 30, 35]
        in_turns = reference_sets.matrix_of(row.matrix, 35)
        row.delete()
        monkeypatch.setattr(reference_sets, "TURN_SECONDS", 100.0)
        clock = iter(range(1000))
        see_reference_sets()
        assert (in_turns == reference_sets.matrix_of(ReferenceEmbeddings.objects.get().matrix, 35)).all()

    def test_the_scale_of_a_large_set_is_that_of_rows_spread_evenly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        matrix = reference_sets.unit(np.random.default_rng(0).random((600, 1280), dtype=np.float32)).astype("<f2")
        whole = reference_sets._scale(matrix)
        monkeypatch.setattr(reference_sets, "ROWS_FOR_SCALE", 200)
        assert reference_sets._scale(matrix) == pytest.approx(whole, rel=0.02)

    def test_what_is_no_reference_set_is_refused_and_nothing_stays(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=r"set\.json"):
            call_command("import_reference_set", str(tmp_path))
        about, images = read_folder(SAMPLE)
        for bad, why in (
            ({"licence": " "}, "licence"),
            ({}, "2 to 12000"),
        ):
            with pytest.raises(Refusal, match=why):
                import_reference_set(about=about.__class__(**{**about.__dict__, **bad}), images=images[:1])
        with pytest.raises(Refusal, match="dx 'wart'"):
            import_reference_set(
                about=about, images=[images[0], images[1].__class__(**{**images[1].__dict__, "network_class": "wart"})]
            )
        assert not ReferenceSet.objects.exists()


class TestVisits:
    def test_what_is_new_since_the_visit_before_is_told_with_the_risk(self, clinician: User, reader: User) -> None:
        earlier = factories.referrable_case(clinician)
        network_reads(embedding(1.0), risk=0.2)
        later = factories.submit(
            clinician,
            factories.new_case(
                consents=[], patient=earlier.patient_id, lesion=earlier.lesion_id,
                clinical=factories.ClinicalData(
                    suspicion=factories.Suspicion.MALIGNANT, checklist={"change_in_size": True}
                ),
                seen_at=timezone.now() - timedelta(seconds=1),
            ),
        ).case  # fmt: skip
        network_reads(embedding(1.0), risk=0.6)
        referral = factories.referral(clinician, factories.organisation_of(reader), of=later)
        factories.accept_referral(user=reader, referral_id=referral.pk)
        with pytest.raises(Conflict):
            visits_of(user=reader, referral=referral)
        read(reader, referral)
        now, before = visits_of(user=reader, referral=referral)
        assert (now.this, now.appeared, now.went, now.checklist_score) == (True, ["change_in_size"], [], 2)
        assert now.risk_change == pytest.approx(0.4)
        assert now.rose is not None
        assert now.rose[0] == "mel"
        assert (before.this, before.appeared, before.risk, before.risk_change) == (False, [], 0.2, None)
