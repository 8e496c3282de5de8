"""/training/: a model steward starts a run, watches it, compares what it made, and releases it with a second one."""

from typing import Any, ClassVar, Final
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.generic import View

from diagnosis.classifier.taxonomy import CLASSES, NAMES
from diagnosis.models import ModelVersion, VersionState
from diagnosis.models.patients import organisations_of_administrator
from diagnosis.services.errors import Refusal
from diagnosis.services.shadow import compare_in_shadow
from skincare.accounts.models import User
from skincare.accounts.recently import demand_recent
from training.evaluation.leakage_page import charts_of as charts_of_leakage
from training.evaluation.leakage_page import last_report, rows_of, shipped_report
from training.evaluation.model_card import as_part, card
from training.models import Dataset, TrainingRun
from training.services import releases
from training.services.runs import INIT_WEIGHTS, cancel_run, judge, offered_recipes, start_run
from training.services.watching import etag_of, poll_after_ms
from training.web.curves import HEIGHT, WIDTH, charts_of
from training.web.differences import differences_in_words

RUNS_SHOWN: Final = 50

_STARTS: Final = {
    "champion": gettext_lazy("the version in service"),
    "shipped": gettext_lazy("the version that ships with the program"),
    "imagenet": gettext_lazy("ImageNet weights"),
    "none": gettext_lazy("nothing: random weights"),
}


class StewardPage(AccessMixin, View):
    """Shown to model stewards, who see no patients, and kept by no cache."""

    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        if not request.user.is_model_steward:
            raise PermissionDenied("this is for model stewards; you are not one")
        self.user = request.user
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response


class DatasetPage(StewardPage):
    """One dataset: its splits, what was left out, which labels somebody should check, and what learnt from it."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        dataset = get_object_or_404(Dataset, pk=pk)
        splits = ("training", "validation", "test")
        left_out = dataset.findings.get("left_out", 0)
        counts = {split: dataset.counts.get(split, {}) for split in splits}
        context = {
            "dataset": dataset,
            "counts": [
                (code, NAMES[code], [counts[split].get(code, 0) for split in splits])
                for code in CLASSES
                if any(counts[split].get(code) for split in splits)
            ],
            "totals": [sum(counts[split].values()) for split in splits],
            # Of an import the manifest itself names what was left out, and why; the register holds how many.
            "left_out": sorted(left_out.items()) if isinstance(left_out, dict) else [],
            "left_out_in_all": sum(left_out.values()) if isinstance(left_out, dict) else left_out,
            "labels_were_checked": "suspicious" in dataset.findings,
            "suspicious": [
                {**row, "percent": 100 * row["chance_of_label"]} for row in dataset.findings.get("suspicious", [])
            ],
            "versions": ModelVersion.objects.filter(training_run__datasets=dataset).exclude(training_run__recipe=""),
        }
        return render(request, "training/dataset.html", context)


class LeakagePage(AccessMixin, View):
    """What careless splits leak, for model stewards and administrators: why figures by image are not to be believed."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Show what was measured here, or else what ships."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        if not (request.user.is_model_steward or organisations_of_administrator(request.user).exists()):
            raise PermissionDenied("this is for model stewards and administrators; you are neither")
        problem = ""
        try:
            report, measured_here = last_report()
        except ValueError as unreadable:
            problem, measured_here = str(unreadable), False
            report = shipped_report()
        context = {
            "report": report,
            "measured_here": measured_here,
            "problem": problem,
            "ways": rows_of(report),
            "charts": charts_of_leakage(report),
        }
        response = render(request, "training/leakage_page.html", context)
        response["Cache-Control"] = "private, no-store"
        return response


class RunForm(forms.Form):
    """What to learn from, and how."""

    id = forms.UUIDField(widget=forms.HiddenInput)
    recipe = forms.ChoiceField(label=gettext_lazy("Recipe"))
    datasets = forms.ModelMultipleChoiceField(
        queryset=Dataset.objects.current(),
        label=gettext_lazy("Datasets"),
        error_messages={"required": gettext_lazy("Choose at least one dataset to learn from.")},
    )
    init_weights = forms.ChoiceField(
        label=gettext_lazy("Starts from"), choices=[(name, _STARTS[name]) for name in INIT_WEIGHTS]
    )
    epochs = forms.IntegerField(
        label=gettext_lazy("Epochs"),
        required=False,
        min_value=1,
        help_text=gettext_lazy("Leave it empty for as many as the recipe has."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        recipe: Any = self.fields["recipe"]
        recipe.choices = [
            (
                each.name,
                ngettext("%(name)s: %(epochs)s epoch", "%(name)s: %(epochs)s epochs", each.epochs)
                % {"name": each.name, "epochs": each.epochs},
            )
            for each in offered_recipes()
        ]


class OverviewPage(StewardPage):
    """What serves, what runs and ran, and a form to start with."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return self._show(request, RunForm(initial={"id": uuid4(), "init_weights": "champion"}))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Start a run and lead to its page. The form holds the run's id, so sent twice it starts one."""
        form = RunForm(request.POST)
        if form.is_valid():
            wanted = form.cleaned_data
            options = {"init_weights": wanted["init_weights"]}
            if wanted["epochs"] is not None:
                options["epochs"] = wanted["epochs"]
            try:
                run = start_run(
                    user=self.user,
                    recipe=wanted["recipe"],
                    datasets=list(wanted["datasets"]),
                    options=options,
                    run_id=wanted["id"],
                )
            except Refusal as refusal:
                form.add_error(None, str(refusal))
            else:
                return HttpResponseRedirect(reverse("training-run-page", kwargs={"pk": run.pk}), status=303)
        return self._show(request, form, status=422)

    def _show(self, request: HttpRequest, form: RunForm, status: int = 200) -> HttpResponse:
        datasets = list(Dataset.objects.current())
        # What was ticked stays ticked when the form comes back.
        ticked = set(request.POST.getlist("datasets")) if form.is_bound else {str(each.pk) for each in datasets[:1]}
        context = {
            "form": form,
            "datasets": [(each, str(each.pk) in ticked) for each in datasets],
            "has_frozen_test": any(each.frozen_test for each in datasets),
            "runs": TrainingRun.objects.exclude(recipe="").select_related("model_version", "started_by")[:RUNS_SHOWN],
            "versions": ModelVersion.objects.defer("manifest").select_related("proposed_by", "approved_by"),
        }
        return render(request, "training/overview.html", context, status=status)


def _shown_of(run: TrainingRun) -> dict[str, Any]:
    """What the page and the part of it that is polled show of a run."""
    figures = ("epoch", "loss", "balanced_accuracy", "malignant_auc", "seconds")
    return {
        "run": run,
        "poll_after_ms": poll_after_ms(run),
        "etag": etag_of(run),
        "charts": charts_of(run.curves),
        "chart_width": WIDTH,
        "chart_height": HEIGHT,
        "rows": [[row.get(name) for name in figures] for row in run.curves],
        "time_left": time_left(run.seconds_left),
        "judgement": run.metrics.get("judgement"),
    }


def time_left(seconds: float | None) -> str:
    """In words, as rough as it is known; empty while it is not."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    if minutes < 1:
        return gettext("less than a minute")
    if minutes < 90:
        return gettext("about %(minutes)s min") % {"minutes": minutes}
    return gettext("about %(hours)s h %(minutes)s min") % {"hours": minutes // 60, "minutes": minutes % 60}


def _run(pk: UUID) -> TrainingRun:
    return get_object_or_404(
        TrainingRun.objects.select_related("model_version", "started_by").prefetch_related("datasets"), pk=pk
    )


class RunPage(StewardPage):
    """One run, live."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        return render(request, "training/run.html", _shown_of(_run(pk)))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Cancel it."""
        run = _run(pk)
        try:
            cancel_run(user=self.user, run_id=run.pk)
        except Refusal as refusal:
            messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("training-run-page", kwargs={"pk": run.pk}), status=303)


class RunProgress(StewardPage):
    """The part of the page that changes, for the script that asks again and again."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Show it, or say that it is unchanged (304)."""
        shown = _shown_of(_run(pk))
        unchanged = get_conditional_response(request, etag=shown["etag"])
        response = unchanged if unchanged is not None else render(request, "training/run_progress.html", shown)
        response["ETag"] = shown["etag"]
        response["X-Poll-After-Ms"] = str(shown["poll_after_ms"] or "")
        return response


class VersionPage(StewardPage):
    """One version between training and service: gates, comparison, shadow, and what a steward may do with it."""

    actions: ClassVar = {
        "propose": releases.propose_release,
        "withdraw": releases.withdraw_proposal,
        "approve": releases.approve_release,
        "roll-back": releases.roll_back,
    }
    #: What changes which network answers wants a fresh proof of who presses the button.
    confirmed: ClassVar = frozenset({"propose", "approve", "roll-back"})

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        return self._show(request, get_object_or_404(ModelVersion, pk=pk))

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Do what the pressed button says; a refusal is shown with its reason."""
        version = get_object_or_404(ModelVersion, pk=pk)
        action = request.POST.get("action", "")
        if action in self.confirmed:
            demand_recent(request)
        try:
            if action in self.actions:
                self.actions[action](user=self.user, version_id=pk)
            elif action in ("shadow-on", "shadow-off"):
                releases.set_shadow(user=self.user, version_id=pk, on=action == "shadow-on")
            elif action == "judge":
                run = judge(user=self.user, version_id=pk)
                return HttpResponseRedirect(reverse("training-run-page", kwargs={"pk": run.pk}), status=303)
            else:
                raise Refusal("unknown_action", gettext("There is no such action."))
        except Refusal as refusal:
            version.refresh_from_db()
            return self._show(request, version, problem=str(refusal), status=409)
        return HttpResponseRedirect(reverse("training-version-page", kwargs={"pk": pk}), status=303)

    def _show(self, request: HttpRequest, version: ModelVersion, problem: str = "", status: int = 200) -> HttpResponse:
        run = TrainingRun.objects.filter(model_version=version).select_related("started_by").first()
        shadow = compare_in_shadow(version)
        challenger = version.state == VersionState.CHALLENGER
        judgement = run.metrics.get("judgement") if run else None
        context = {
            "version": version,
            "problem": problem,
            "run": run,
            "judgement": judgement,
            "differences": differences_in_words(judgement.get("tests_of_difference", {})) if judgement else [],
            "challenger": challenger,
            "retired": version.state == VersionState.RETIRED,
            "not_releasable": releases.why_not_releasable(version) if challenger else "",
            "mine": version.proposed_by_id == self.user.pk,
            "shadow": shadow if shadow.read or version.shadow_since else None,
        }
        return render(request, "training/version.html", context, status=status)


class ModelCardPage(StewardPage):
    """The model card of a version, from its manifest and, where it was judged on this platform, from its verdict."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show it."""
        version = get_object_or_404(ModelVersion, pk=pk)
        run = TrainingRun.objects.filter(model_version=version).first()
        judgement = run.metrics.get("judgement") if run else None
        markdown = card(version.manifest, version.manifest_sha256, judgement=judgement)
        return render(request, "training/version_card.html", {"version": version, "card": as_part(markdown)})
