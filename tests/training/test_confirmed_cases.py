"""Learning from the platform's own cases: only what is confirmed, only with consent, and it can be told who learnt."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.conf import settings as configured
from django.core.management import call_command
from django.utils import timezone

from diagnosis.classifier.view import SIDE
from diagnosis.models import (
    Case,
    CaseImage,
    ConsentScope,
    ModelVersion,
    Outcome,
    OutcomeKind,
    OutcomeSource,
    VersionState,
)
from diagnosis.services.model_versions import register_shipped
from diagnosis.services.referrals import accept_referral
from diagnosis.services.second_opinions import ask_opinion
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import network_answers, read, sign
from tests.training.test_models import run
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import Entry, Manifest
from training.models import Dataset
from training.services.confirmed_cases import NothingConfirmed, build_confirmed_cases, open_views
from training.services.suspicious_labels import suspicious_labels

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"


@pytest.fixture
def clinician() -> User:
    return factories.clinician()


def case(clinician: User, *, research: bool = True) -> Case:
    """A case that can be referred; the patient consented to research unless told otherwise."""
    made = factories.referrable_case(clinician)
    if research:
        factories.grant(made.patient, clinician, ConsentScope.RESEARCH)
    return made


def histology(of: Case, by: User, diagnosis: str = "melanoma") -> Outcome:
    return Outcome.objects.create(
        lesion=of.lesion,
        kind=OutcomeKind.HISTOLOGY,
        diagnosis=diagnosis,
        determined_on=timezone.now().date(),
        recorded_at=timezone.now(),
        recorded_by=by,
        source=OutcomeSource.PERSON,
    )


def labels(dataset: Dataset) -> dict[UUID, str]:
    return dict(dataset.platform_images.values_list("image__case", "label"))


def test_histology_of_those_who_consent_to_research_is_learnt_from(clinician: User) -> None:
    with_consent, without = case(clinician), case(clinician, research=False)
    unconfirmed = case(clinician)
    for each in (with_consent, without):
        histology(each, clinician)

    dataset = build_confirmed_cases(user=factories.user(is_model_steward=True))

    assert labels(dataset) == {with_consent.pk: "mel"}
    assert dataset.findings["left_out"] == {"not_confirmed": 1}
    assert not dataset.frozen_test
    assert AuditEvent.objects.get(action="training.included").patient_id == with_consent.patient_id
    assert unconfirmed.pk not in labels(dataset)


def signed(clinician: User, *, predicted: bool, second: str | None = None) -> Case:
    """A case whose assessment says melanoma; the network agrees or not; a second reader says something or nothing."""
    made = case(clinician)
    reader = factories.dermatologist()
    referral = factories.referral(clinician, factories.organisation_of(reader), of=made)

    referral = accept_referral(user=reader, referral_id=referral.pk)
    network_answers()
    diagnosis = "melanoma" if predicted else "nevus"
    read(reader, referral, diagnosis)
    if second is not None:
        other = factories.dermatologist(referral.service)

        ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=other.pk)
        read(other, referral, second)
    sign(reader, referral, diagnosis=diagnosis)
    return made


def test_an_assessment_that_the_network_agrees_with_counts(clinician: User) -> None:
    made = signed(clinician, predicted=True)
    assert labels(build_confirmed_cases(user=None)) == {made.pk: "mel"}


def test_one_that_the_network_disagrees_with_needs_a_second_reader(clinician: User) -> None:
    signed(clinician, predicted=False)
    with pytest.raises(NothingConfirmed, match="needs_second_reader"):
        build_confirmed_cases(user=None)


def test_a_second_reader_who_agrees_settles_it(clinician: User) -> None:
    made = signed(clinician, predicted=False, second="nevus")
    assert labels(build_confirmed_cases(user=None)) == {made.pk: "nv"}


def test_a_withdrawn_consent_drops_the_photograph_from_the_next_manifest_and_from_any_run(clinician: User) -> None:
    stays, goes = case(clinician), case(clinician)
    for each in (stays, goes):
        histology(each, clinician)
    first = build_confirmed_cases(user=None)
    assert set(labels(first)) == {stays.pk, goes.pk}

    factories.withdraw(goes.patient, clinician, ConsentScope.RESEARCH)

    manifest = Manifest.load(_root(first))
    assert set(open_views(first, manifest)) == {str(stays.images.get().pk)}
    second = build_confirmed_cases(user=None)
    assert set(labels(second)) == {stays.pk}
    first.refresh_from_db()
    assert first.replaced_by == second
    assert list(Dataset.objects.current()) == [second]
    assert AuditEvent.objects.filter(action="training.read").count() == 1


def test_the_manifest_of_those_who_stay_returns_where_there_was_one_before(clinician: User) -> None:
    stays, comes_and_goes = case(clinician), case(clinician, research=False)
    for each in (stays, comes_and_goes):
        histology(each, clinician)
    first = build_confirmed_cases(user=None)
    factories.grant(comes_and_goes.patient, clinician, ConsentScope.RESEARCH)
    second = build_confirmed_cases(user=None)
    assert list(Dataset.objects.current()) == [second]

    factories.withdraw(comes_and_goes.patient, clinician, ConsentScope.RESEARCH)
    steward = factories.user(is_model_steward=True)
    again, once_more = (build_confirmed_cases(user=steward) for _ in range(2))

    assert again == once_more == first
    assert list(Dataset.objects.current()) == [first]
    second.refresh_from_db()
    assert second.replaced_by == first
    said = AuditEvent.objects.get(action="dataset.returned")
    assert (said.object_id, said.actor) == (str(first.pk), steward)
    included = AuditEvent.objects.filter(action="training.included", object_id=str(first.pk))
    assert [event.patient_id for event in included] == [stays.patient_id] * 2


def _root(dataset: Dataset) -> Path:

    return Path(configured.DATASETS_ROOT) / dataset.folder


def test_the_files_hold_no_picture(clinician: User) -> None:
    histology(case(clinician), clinician)
    dataset = build_confirmed_cases(user=None)
    assert [path.name for path in _root(dataset).iterdir()] == ["manifest.json"]


def test_no_contributor_shapes_what_is_learnt(clinician: User, settings: Any) -> None:
    settings.TRAINING_MOST_PER_CONTRIBUTOR = 1
    other = factories.user()
    by: list[User] = [clinician, clinician, other]
    for person in by:
        histology(case(clinician), person)
    dataset = build_confirmed_cases(user=None)
    assert dataset.images == 2
    assert dataset.findings["left_out"] == {"contributor_cap": 1}


def test_an_erased_patient_is_in_no_manifest(clinician: User) -> None:
    made = case(clinician)
    histology(made, clinician)
    type(made.patient).objects.filter(pk=made.patient_id).update(data_key_row=None, record_number_index=None)
    with pytest.raises(NothingConfirmed):
        build_confirmed_cases(user=None)


def test_lineage_names_the_versions_that_were_trained_on_a_photograph(clinician: User) -> None:
    made = case(clinician)
    histology(made, clinician)
    dataset = build_confirmed_cases(user=None)
    version = register_shipped()
    run(model_version=version, state="done", stage="finished", finished_at=timezone.now()).datasets.add(dataset)
    image = CaseImage.objects.get(case=made)
    said = StringIO()
    call_command("lineage", str(image.pk), stdout=said)
    assert version.name in said.getvalue()
    assert VersionState.CHAMPION.label in said.getvalue()
    with pytest.raises(Exception, match="in no dataset"):
        call_command("lineage", str(uuid4()))


def test_lineage_names_what_started_from_a_version_that_learnt_a_photograph(clinician: User) -> None:
    withdrawing, staying = case(clinician), case(clinician)
    histology(withdrawing, clinician)
    first = build_confirmed_cases(user=None)
    histology(staying, clinician)
    factories.withdraw(withdrawing.patient, clinician, ConsentScope.RESEARCH)
    second = build_confirmed_cases(user=None)
    start = {"C1": None, "C2": "C1", "C3": "C2", "stranger": None}
    for name, initial in start.items():
        version = ModelVersion.objects.create(name=name, state=VersionState.CHALLENGER, manifest={})
        options = {"initial_version": initial} if initial else {}
        made = run(model_version=version, state="done", stage="finished", finished_at=timezone.now(), options=options)
        made.datasets.add(first if name == "C1" else second)

    call_command("lineage", str(CaseImage.objects.get(case=withdrawing).pk), stdout=(said := StringIO()))

    lines = [line.split(maxsplit=1)[1] for line in said.getvalue().splitlines()]
    named = f"({VersionState.CHALLENGER.label})"
    expected = [f"C1 {named} ", f"C2 {named}, through C1 ", f"C3 {named}, through C1 "]
    assert [line.startswith(start) for line, start in zip(lines, expected, strict=True)] == [True] * 3


def test_a_label_that_the_others_contradict_is_listed_for_somebody_to_check(db: None) -> None:
    register_shipped()
    rng = np.random.default_rng(0)
    grounds: dict[str, Callable[[], Any]] = {
        "mel": lambda: rng.integers(0, 255, size=(SIDE, SIDE, 3)),
        "nv": lambda: (
            np.linspace(0, 200 + rng.integers(50), SIDE)[:, None, None] * np.array([1.0, 0.6, 0.3])
            + np.zeros((SIDE, SIDE, 3))
        ),
    }
    entries, views = [], {}
    for number in range(30):
        code = "mel" if number % 2 else "nv"
        pk = UUID(int=number)
        label = "nv" if number == 7 else code
        record = LabelledImage(str(pk), str(number), label, "histo", None, "unknown", "back")
        entries.append(Entry(record, f"patient:{number}", "", {"lesion": "training", "image": "training"}, "here"))
        views[pk] = np.asarray(grounds[code](), dtype=np.uint8)
    found = suspicious_labels(entries, views)
    assert [(row["image"], row["label"], row["others_say"]) for row in found] == [(str(UUID(int=7)), "nv", "mel")]
