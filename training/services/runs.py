"""What a model steward asks of training: start a run, cancel it, have a version judged again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.models import ModelVersion, VersionState
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.model_versions import champion
from skincare.accounts.models import User
from skincare.audit.record import record
from training.models import Dataset, RunState, TrainingRun
from training.models.runs import ACTIVE, Stage
from training.recipes import RECIPES, Recipe
from training.services.people import require_steward
from training.services.run_queue import ring_for_training

#: What the body of the network may start from.
INIT_WEIGHTS: Final = ("shipped", "champion", "imagenet", "none")
#: What may depart from a recipe, with the type it must have.
OPTIONS: Final = frozenset({"init_weights", "epochs"})


def offered_recipes() -> list[Recipe]:
    """The recipes that stewards may choose, in the order of the setting."""
    return [RECIPES[name] for name in settings.TRAINING_RECIPES if name in RECIPES]


@transaction.atomic
def start_run(
    *, user: User, recipe: str, datasets: Sequence[Dataset], options: Mapping[str, Any], run_id: UUID | None = None
) -> TrainingRun:
    """Put a run into the queue. Sent again with the same id, it is started once.

    Raises:
        Refusal: the recipe or an option is not one, or there is nothing to learn from.
        Conflict: the same thing waits or runs already, or the id is another's.
    """
    require_steward(user)
    chosen = next((each for each in offered_recipes() if each.name == recipe), None)
    if chosen is None:
        names = ", ".join(each.name for each in offered_recipes())
        raise Refusal("unknown_recipe", f"there is no recipe {recipe!r} to choose; there are: {names}", field="recipe")
    if not datasets:
        raise Refusal("datasets_missing", "choose at least one dataset to learn from", field="datasets")
    for dataset in datasets:
        if dataset.replaced_by_id is not None:
            raise Refusal(
                "dataset_replaced",
                f"the dataset {dataset} was replaced by a newer manifest; choose {dataset.replaced_by}",
                field="datasets",
            )
    wanted = _checked_options(options)
    digest = _digest_of(recipe, datasets, wanted)
    known = TrainingRun.objects.filter(pk=run_id).first() if run_id else None
    if known is not None:
        if known.request_digest != digest or known.started_by_id != user.pk:
            raise Conflict("id_taken", f"the id {run_id} is another run's; choose another UUID", field="id")
        return known
    _refuse_double(digest)
    if wanted["init_weights"] in ("shipped", "champion"):
        # By name, so that a run that is continued after a release starts from what it would have started from.
        initial = shipped.SHIPPED_BUNDLE if wanted["init_weights"] == "shipped" else champion().name
        wanted["initial_version"] = initial
    run = TrainingRun.objects.create(
        id=run_id or uuid4(),
        recipe=recipe,
        options=wanted,
        request_digest=digest,
        started_by=user,
        epochs=wanted.get("epochs", chosen.epochs),
    )
    run.datasets.set(datasets)
    record(
        "training_run.started",
        run,
        actor=user,
        details={
            "recipe": recipe,
            "datasets": sorted(dataset.fingerprint for dataset in datasets),
            "options": wanted,
        },
    )
    transaction.on_commit(ring_for_training, robust=True)
    return run


def _checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise Refusal(
            "unknown_option", f"unknown option {unknown[0]!r}; known are {', '.join(sorted(OPTIONS))}", field="options"
        )
    found: dict[str, Any] = {"init_weights": options.get("init_weights", "champion")}
    if found["init_weights"] not in INIT_WEIGHTS:
        raise Refusal(
            "unknown_option",
            f"init_weights is one of {', '.join(INIT_WEIGHTS)}, not {found['init_weights']!r}",
            field="options.init_weights",
        )
    if options.get("epochs") is not None:
        epochs = options["epochs"]
        if not isinstance(epochs, int) or isinstance(epochs, bool) or not 1 <= epochs <= settings.TRAINING_MOST_EPOCHS:
            raise Refusal(
                "unknown_option",
                f"epochs is a number from 1 to {settings.TRAINING_MOST_EPOCHS}",
                field="options.epochs",
            )
        found["epochs"] = epochs
    return found


def _digest_of(recipe: str, datasets: Sequence[Dataset], options: Mapping[str, Any]) -> str:
    content = [recipe, sorted(dataset.fingerprint for dataset in datasets), dict(sorted(options.items()))]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _refuse_double(digest: str) -> None:
    twin = TrainingRun.objects.select_for_update(of=("self",)).active().filter(request_digest=digest).first()
    if twin is not None:
        raise Conflict(
            "already_running",
            f"a run of the same recipe, datasets and options is {twin.get_state_display().lower()}: {twin.pk}",
        )


@transaction.atomic
def cancel_run(*, user: User, run_id: UUID) -> TrainingRun:
    """End a run that waits; ask the worker to end one that runs. Asked again, nothing more happens.

    Raises:
        Conflict: the run has ended already.
    """
    require_steward(user)
    run = TrainingRun.objects.select_for_update(of=("self",)).get(pk=run_id)
    if run.state == RunState.CANCELLING:
        return run
    if run.state not in ACTIVE:
        raise Conflict("run_has_ended", f"the run has ended: {run.get_state_display().lower()}")
    if run.state == RunState.QUEUED:
        run.state, run.finished_at = RunState.CANCELLED, timezone.now()
        run.reason, run.reason_text = "cancelled", "A model steward cancelled the run before it began."
    else:
        run.state = RunState.CANCELLING
    run.save()
    record("training_run.cancel_asked", run, actor=user, details={"state": str(run.state)})
    return run


@transaction.atomic
def judge(*, user: User, version_id: UUID) -> TrainingRun:
    """Have a challenger judged (again) on the frozen tests that are there now, against today's champion.

    Raises:
        Conflict: it is no challenger, or its run has not ended.
    """
    require_steward(user)
    version = ModelVersion.objects.select_for_update(of=("self",)).get(pk=version_id)
    if version.state != VersionState.CHALLENGER:
        raise Conflict(
            "no_challenger", f"{version} is {version.get_state_display().lower()}: only challengers are judged"
        )
    run = TrainingRun.objects.select_for_update(of=("self",)).filter(model_version=version).first()
    if run is None:
        run = TrainingRun(
            model_version=version, started_by=user, request_digest=hashlib.sha256(version.pk.bytes).hexdigest()
        )
    elif run.active:
        raise Conflict("already_running", f"the run of {version} is {run.get_state_display().lower()}")
    run.state, run.stage = RunState.QUEUED, Stage.WAITING
    run.queued_at, run.not_before, run.rung_at = timezone.now(), Now(), Now()
    run.attempts = 0
    run.reason = run.reason_text = ""
    run.finished_at = None
    run.save()
    record("training_run.judging_asked", run, actor=user, details={"model_version": str(version.pk)})
    transaction.on_commit(ring_for_training, robust=True)
    return run
