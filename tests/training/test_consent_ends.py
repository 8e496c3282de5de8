"""Consent to research ends by a word or by the clock: whatever learns or tries a version sees it at that moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from diagnosis.models import Case, ConsentScope, ImageKind, ModelVersion, ShadowReading, VersionState
from diagnosis.services import shadow
from diagnosis.services.consents import record_consent
from diagnosis.services.erasure import ErasureReason, erase_patient
from diagnosis.services.files import open_sealed
from diagnosis.services.submission import NewImage
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.training.test_confirmed_cases import case, histology, labels
from tests.training.test_models import run
from tests.training.test_releases import challenger  # noqa: F401  (a fixture)
from tests.training.test_shadow import answered, in_shadow  # noqa: F401  (a fixture)
from training.datasets.manifest import Manifest
from training.fit import TrainingCancelled
from training.learning import Material
from training.models import Dataset
from training.recipes import SMOKE
from training.services import confirmed_cases, learning
from training.services.confirmed_cases import NothingConfirmed, build_confirmed_cases, open_views

RESEARCH = ConsentScope.RESEARCH


@pytest.fixture
def clinician() -> User:
    return factories.clinician()


def withdrawn(of: Case, by: User) -> None:
    factories.withdraw(of.patient, by, RESEARCH)


def expired(of: Case, by: User) -> None:
    factories.let_consents_end(of.patient)


def erased(of: Case, by: User) -> None:
    erase_patient(patient_id=of.patient_id, reason=ErasureReason.PATIENT_REQUEST, user=by)


END = pytest.mark.parametrize("end", [withdrawn, expired, erased])
End = Callable[[Case, User], None]


def for_an_hour(of: Case, by: User) -> Case:
    """The case, whose patient consents to research, from now on for an hour only."""
    said = factories.statement(scope=RESEARCH, captured_at=timezone.now())
    record_consent(user=by, patient=of.patient, statement=replace(said, expires_at=timezone.now() + timedelta(hours=1)))
    return of


@pytest.fixture
def two(clinician: User, settings: Any, tmp_path: Path) -> tuple[Case, Case]:
    """A case that stays, and one whose consent to research will end."""
    settings.DATASETS_ROOT, settings.TRAINING_ROOT = tmp_path / "datasets", tmp_path / "training"
    settings.BUNDLES_ROOT = tmp_path / "bundles"
    other = [NewImage(ImageKind.DERMOSCOPIC, sorted(factories.HAM10000.glob("*_600x450.jpg"))[-1].read_bytes())]
    ending = factories.submit(clinician, factories.new_case(images=other)).case
    stays, goes = case(clinician), for_an_hour(ending, clinician)
    for each in (stays, goes):
        histology(each, clinician)
    return stays, goes


def opened_of(dataset: Dataset) -> set[str]:
    return set(open_views(dataset, Manifest.load(Path(confirmed_cases.settings.DATASETS_ROOT) / dataset.folder)))


def photograph(of: Case) -> str:
    return str(of.images.get().pk)


@pytest.mark.django_db
class TestManifests:
    @END
    def test_the_next_manifest_and_every_opening_do_without(
        self,
        two: tuple[Case, Case],
        clinician: User,
        end: End,
    ) -> None:
        stays, goes = two
        first = build_confirmed_cases(user=None)
        assert set(labels(first)) == {stays.pk, goes.pk}
        end(goes, clinician)
        assert opened_of(first) == {photograph(stays)}
        assert set(labels(build_confirmed_cases(user=None))) == {stays.pk}

    @pytest.mark.parametrize("asked", [True, False], ids=["as it is", "with the condition removed"])
    def test_one_that_ends_while_the_photographs_are_looked_through_is_left_out(
        self,
        two: tuple[Case, Case],
        clinician: User,
        monkeypatch: pytest.MonkeyPatch,
        asked: bool,
    ) -> None:
        stays, goes = two

        def meanwhile(entries: Any, views: Any) -> list[dict[str, Any]]:
            withdrawn(goes, clinician)
            return [{"image": photograph(goes)}, {"image": photograph(stays)}]

        monkeypatch.setattr(confirmed_cases, "suspicious_labels", meanwhile)
        if not asked:
            monkeypatch.setattr(confirmed_cases, "_may_be_learnt_from", Case.objects.all)
        made = build_confirmed_cases(user=None)
        assert set(labels(made)) == ({stays.pk} if asked else {stays.pk, goes.pk})
        listed = {row["image"] for row in made.findings["suspicious"]}
        assert (photograph(goes) in listed) is not asked
        assert (photograph(goes) in opened_of(made)) is not asked

    def test_when_all_end_meanwhile_there_is_no_manifest(
        self,
        two: tuple[Case, Case],
        clinician: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def meanwhile(entries: Any, views: Any) -> list[dict[str, Any]]:
            for each in two:
                withdrawn(each, clinician)
            return []

        monkeypatch.setattr(confirmed_cases, "suspicious_labels", meanwhile)
        with pytest.raises(NothingConfirmed, match="ended while the manifest was made"):
            build_confirmed_cases(user=None)
        assert not Dataset.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_whoever_withdraws_while_photographs_are_opened_is_answered_after_and_the_next_opening_does_without(
    two: tuple[Case, Case],
    clinician: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stays, goes = two
    dataset = build_confirmed_cases(user=None)
    inside, go_on = threading.Event(), threading.Event()

    def slow(*args: Any) -> bytes:
        inside.set()
        assert go_on.wait(30)
        return open_sealed(*args)

    def in_a_thread(what: Callable[[], Any]) -> Any:
        try:
            return what()
        finally:
            connection.close()

    monkeypatch.setattr(confirmed_cases, "open_sealed", slow)
    with ThreadPoolExecutor(2) as both:
        opening = both.submit(in_a_thread, lambda: opened_of(dataset))
        assert inside.wait(30)
        withdrawing = both.submit(in_a_thread, lambda: withdrawn(goes, clinician))
        with pytest.raises(TimeoutError):
            withdrawing.result(0.5)
        go_on.set()
        assert opening.result(30) == {photograph(stays), photograph(goes)}
        withdrawing.result(30)
    events = AuditEvent.objects.filter(patient_id=goes.patient_id).order_by("id").values_list("action", flat=True)
    assert list(events)[-2:] == ["training.read", "consent.withdrawn"]
    assert opened_of(dataset) == {photograph(stays)}


@pytest.mark.django_db
class TestRuns:
    """`train` stands in for hours of TensorFlow: it asks at each step whether to go on, as the real one does."""

    @pytest.fixture
    def told(self) -> list[dict[str, Any]]:
        return []

    def learn(
        self,
        monkeypatch: pytest.MonkeyPatch,
        told: list[dict[str, Any]],
        dataset: Dataset,
        at_step: Callable[[int], None],
        after: Callable[[int], None] = lambda attempt: None,
    ) -> list[list[str]]:
        """Learn from the dataset; returns which photographs each attempt was given."""
        attempts: list[list[str]] = []

        def train(recipe: Any, material: Material, folder: Path, *, target: Path, cancelled: Any, **_: Any) -> Path:
            attempts.append(sorted(record.image_id for record in material.images.records))
            for name in ("checkpoint.npz", "epoch01.weights.h5"):
                assert not (folder / name).exists() or len(attempts) == 1
                (folder / name).write_bytes(b"learnt")
            at_step(len(attempts))
            if cancelled():
                raise TrainingCancelled("stopped in epoch 1")
            target.mkdir(parents=True)
            (target / "bundle.json").write_text("{}")
            after(len(attempts))
            return target

        monkeypatch.setattr(learning, "train", train)
        made = run(recipe="smoke", options={"init_weights": "none"})
        made.datasets.add(dataset)
        version = learning._learn(made, lambda **message: told.append(message))
        assert version.state == VersionState.CHALLENGER  # and so is opened unsigned, to be judged
        return attempts

    @END
    @pytest.mark.parametrize("moment", ["while it trains", "while the bundle is made"])
    def test_a_run_that_learns_from_a_photograph_begins_anew_without_it(
        self,
        two: tuple[Case, Case],
        clinician: User,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
        told: list[dict[str, Any]],
        end: End,
        moment: str,
    ) -> None:
        settings.TRAINING_CONSENT_SECONDS = 0.0
        stays, goes = two
        dataset = build_confirmed_cases(user=None)

        def once(attempt: int) -> None:
            if attempt == 1:
                end(goes, clinician)

        def never(attempt: int) -> None:
            return None

        trains = moment == "while it trains"
        attempts = self.learn(monkeypatch, told, dataset, once if trains else never, never if trains else once)
        assert attempts == [sorted([photograph(stays), photograph(goes)]), [photograph(stays)]]
        assert [each["bundle"]["name"][:5] for each in told if "bundle" in each] == ["smoke"]
        (said,) = [each["progress"] for each in told if each.get("progress", {}).get("reason")]
        assert "consent to research ended" in said["reason_text"]
        assert AuditEvent.objects.filter(action="training_run.began_anew").count() == 1

    @pytest.mark.parametrize("moment", ["while it trains", "with the bundle made"])
    def test_one_whose_worker_was_dead_when_a_consent_ended_does_not_go_on_from_what_it_left(
        self,
        two: tuple[Case, Case],
        clinician: User,
        monkeypatch: pytest.MonkeyPatch,
        told: list[dict[str, Any]],
        moment: str,
    ) -> None:
        stays, goes = two
        dataset = build_confirmed_cases(user=None)

        class Killed(BaseException):
            pass

        def die(attempt: int) -> None:
            raise Killed

        def never(attempt: int) -> None:
            return None

        trains = moment == "while it trains"
        with pytest.raises(Killed):
            self.learn(monkeypatch, told, dataset, die if trains else never, never if trains else die)
        withdrawn(goes, clinician)
        (folder,) = (path for path in Path(learning.settings.TRAINING_ROOT).iterdir())
        made = learning.TrainingRun.objects.get()
        half_made = Path(learning.settings.BUNDLES_ROOT) / f"{learning.name_of(made)}.partial"
        (half_made / "weights").mkdir(parents=True)

        given: list[bool] = []

        def train(recipe: Any, material: Material, folder: Path, *, target: Path, **_: Any) -> Path:
            given.append((folder / "checkpoint.npz").exists())
            assert [record.image_id for record in material.images.records] == [photograph(stays)]
            target.mkdir(parents=True)  # nothing lies there any more
            (target / "bundle.json").write_text("{}")
            return target

        monkeypatch.setattr(learning, "train", train)
        learning._learn(made, lambda **message: told.append(message))
        assert given == [False]
        assert not (folder / "epoch01.weights.h5").exists()
        assert not half_made.exists()
        (said,) = [each["progress"] for each in told if each.get("progress", {}).get("reason")]
        assert said["reason"] == "consent_ended"
        assert AuditEvent.objects.filter(action="training_run.began_anew").count() == 1

    def test_a_bundle_that_lies_there_ready_is_registered_without_training_again_while_all_consent(
        self,
        two: tuple[Case, Case],
        monkeypatch: pytest.MonkeyPatch,
        told: list[dict[str, Any]],
    ) -> None:
        self.learn(monkeypatch, told, build_confirmed_cases(user=None), lambda attempt: None)

        def train(*args: Any, **_: Any) -> Path:
            raise AssertionError("it was trained already")

        monkeypatch.setattr(learning, "train", train)
        version = learning._learn(learning.TrainingRun.objects.get(), lambda **message: told.append(message))
        assert version.name == next(each["bundle"]["name"] for each in told if "bundle" in each)

    def test_while_nothing_ends_it_trains_once(
        self,
        two: tuple[Case, Case],
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
        told: list[dict[str, Any]],
    ) -> None:
        settings.TRAINING_CONSENT_SECONDS = 0.0
        attempts = self.learn(monkeypatch, told, build_confirmed_cases(user=None), lambda attempt: None)
        assert len(attempts) == 1
        assert attempts[0] == sorted(photograph(each) for each in two)
        assert SMOKE.name == "smoke"


@pytest.mark.django_db
class TestShadow:
    @END
    def test_nothing_is_read_any_more(self, in_shadow: ModelVersion, clinician: User, end: End) -> None:  # noqa: F811
        end(for_an_hour(answered(clinician), clinician), clinician)
        assert shadow.read_in_shadow() == 0
        assert not ShadowReading.objects.exists()

    @pytest.mark.parametrize("end", [withdrawn, expired])
    @pytest.mark.parametrize("asked", [True, False], ids=["as it is", "with the condition removed"])
    @pytest.mark.parametrize("moment", ["_unread", "_fill_in"], ids=["after the list", "while the network reads"])
    def test_a_reading_under_a_consent_that_ends_meanwhile_is_not_kept(
        self,
        in_shadow: ModelVersion,  # noqa: F811
        clinician: User,
        monkeypatch: pytest.MonkeyPatch,
        moment: str,
        asked: bool,
        end: End,
    ) -> None:
        of = for_an_hour(answered(clinician), clinician)
        real = getattr(shadow, moment)

        def then(*args: Any) -> Any:
            result = real(*args)
            end(of, clinician)
            return result

        monkeypatch.setattr(shadow, moment, then)
        if not asked:
            monkeypatch.setattr(shadow, "_allowed", lambda patient: True)
        assert shadow.read_in_shadow() == (0 if asked else 1)
        assert ShadowReading.objects.exists() is not asked
