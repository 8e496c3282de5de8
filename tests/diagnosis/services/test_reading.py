"""Reading what waits with the network that ships: the whole way from a stored photograph to a written answer."""

from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from diagnosis.classifier.photograph import receive
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.classifier.view import decode_view
from diagnosis.models import Analysis, AnalysisState, Case, CaseImage, ImageKind, ModelVersion, Suspicion
from diagnosis.models.sealed import place_of
from diagnosis.services import reading
from diagnosis.services.analysis_queue import claim
from diagnosis.services.files import open_sealed
from diagnosis.services.model_versions import register_shipped
from diagnosis.services.submission import ClinicalData, NewImage
from skincare.encryption import unseal
from tests import factories

pytestmark = pytest.mark.django_db

PHOTOGRAPHS = sorted(factories.HAM10000.glob("ISIC_*.jpg"))


@pytest.fixture(autouse=True)
def _network_in_service() -> None:
    register_shipped()
    # Another test's version, rolled back since, is not the one of this test.
    reading._in_service = None


def read(case: Case) -> Analysis:
    reading.read_waiting_cases()
    return Analysis.objects.select_related("case__patient__data_key_row", "model_version").get(case=case)


def submit(images: list[NewImage] | None = None, **clinical: object) -> Case:
    data = ClinicalData(suspicion=clinical.pop("suspicion", Suspicion.BENIGN), **clinical)  # type: ignore[arg-type]
    return factories.submit(factories.clinician(), factories.new_case(images=images, clinical=data)).case


def photograph(kind: ImageKind = ImageKind.DERMOSCOPIC, path: Path = factories.PHOTOGRAPH) -> NewImage:
    return NewImage(kind, path.read_bytes())


def test_an_answer_is_whole_and_names_what_gave_it() -> None:
    analysis = read(submit())
    assert analysis.state == AnalysisState.ANSWERED
    assert analysis.probabilities is not None
    assert sum(analysis.probabilities) == pytest.approx(1)
    risk = sum(p for name, p in zip(CLASSES, analysis.probabilities, strict=True) if name in MALIGNANT)
    assert analysis.malignancy_risk == pytest.approx(risk)
    assert analysis.model_version == register_shipped()
    assert set(analysis.conditions) >= {"preprocessing", "temperature", "thresholds", "decision_rule", "backend"}
    assert set(analysis.timings) == {"waited_ms", "open_views_ms", "forward_ms"}


def test_an_answer_can_be_recomputed_bit_for_bit_from_what_is_stored() -> None:
    analysis = read(submit())
    image = CaseImage.objects.get()
    view = decode_view(open_sealed(analysis.case.patient, image.view_file))
    again = reading.network_in_service().network.read(view[np.newaxis])[0]
    assert analysis.probabilities == [float(p) for p in again.probabilities]
    sealed_map = unseal(analysis.data_key(), bytes(analysis.sealed_map or b""), place=place_of(analysis, "map"))
    assert np.array_equal(np.frombuffer(sealed_map, "<f4").reshape(7, 7, 7), again.map)
    embedding = unseal(
        analysis.data_key(), bytes(analysis.sealed_embedding or b""), place=place_of(analysis, "embedding")
    )
    assert np.array_equal(np.frombuffer(embedding, "<f4"), again.embedding)


def test_the_stored_view_is_the_view_of_the_uploaded_photograph() -> None:
    case = submit()
    stored = open_sealed(case.patient, CaseImage.objects.get().view_file)
    assert np.array_equal(decode_view(stored), decode_view(receive(factories.PHOTOGRAPH.read_bytes()).stored_view))


def test_many_cases_are_read_in_one_turn() -> None:
    by = factories.clinician()
    for path in PHOTOGRAPHS[:20]:
        factories.submit(by, factories.new_case(images=[photograph(path=path)]))
    assert reading.read_waiting_cases() == 20
    assert not Analysis.objects.filter(state=AnalysisState.WAITING).exists()


def test_an_overview_alone_gets_no_ai_result() -> None:
    analysis = read(submit([photograph(ImageKind.OVERVIEW)]))
    assert (analysis.state, analysis.reason) == (AnalysisState.ABSTAINED, "overview_only")
    assert analysis.reason_text.startswith("No AI result: human review.")
    assert analysis.recommendation == "human_review"
    assert analysis.malignancy_risk is None


def test_a_plain_photograph_is_marked_as_not_validated() -> None:
    analysis = read(submit([photograph(ImageKind.CLOSE_UP)]))
    assert analysis.state in {AnalysisState.ANSWERED, AnalysisState.ABSTAINED}
    assert analysis.state == AnalysisState.ABSTAINED or "not_validated_on_plain_photographs" in analysis.notices
    assert analysis.recommendation != "clinical_judgement"


def test_the_clinical_rule_is_never_overruled_by_the_network() -> None:
    checklist = {"change_in_size": True, "irregular_colour": True}
    for path in PHOTOGRAPHS[:6]:
        analysis = read(submit([photograph(path=path)], checklist=checklist))
        assert analysis.recommendation == "refer_urgently"


def test_a_case_whose_photograph_is_damaged_does_not_hold_up_the_others() -> None:
    damaged, sound = submit(), submit()
    path = Path(settings.MEDIA_ROOT) / damaged.images.get().view_file
    path.write_bytes(path.read_bytes()[:-1])
    assert read(sound).state == AnalysisState.ANSWERED
    assert read(damaged).state == AnalysisState.WAITING
    assert read(damaged).attempts == 1


def test_without_a_version_in_service_cases_wait_and_are_not_lost() -> None:
    case = submit()
    ModelVersion.objects.all().delete()
    assert read(case).state == AnalysisState.WAITING
    register_shipped()
    Analysis.objects.update(not_before=case.submitted_at)
    assert read(case).state == AnalysisState.ANSWERED


def test_a_read_that_throws_fails_its_case_only(monkeypatch: pytest.MonkeyPatch) -> None:
    poison, sound = submit(), submit([photograph(path=PHOTOGRAPHS[0])])
    network = reading.network_in_service().network
    poisoned = decode_view(open_sealed(poison.patient, poison.images.get().view_file))
    real = network._backend.forward

    def forward(views: np.ndarray) -> object:
        if any(np.array_equal(view, poisoned) for view in views):
            raise RuntimeError("cannot be read")
        return real(views)

    monkeypatch.setattr(network._backend, "forward", forward)
    lease = claim(limit=2)
    assert lease is not None
    assert reading.read_lease(lease) == {sound.analysis.pk}
    poison.analysis.refresh_from_db()
    assert (poison.analysis.state, poison.analysis.attempts) == (AnalysisState.WAITING, 1)
