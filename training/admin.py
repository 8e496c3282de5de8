"""Datasets and runs in the admin: to look at; what is done with them is done on the stewards' pages, which it links."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from diagnosis.admin import ReadOnly
from training.models import Dataset, TrainingRun


@admin.register(Dataset)
class DatasetAdmin(ReadOnly, admin.ModelAdmin):
    """What can be learnt from."""

    list_display = ("name", "kind", "images", "lesions", "frozen_test", "created_at", "replaced_by")


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly, admin.ModelAdmin):
    """Runs, with the way to their pages, where model stewards start, watch and cancel them."""

    list_display = ("created_at", "recipe", "state", "started_by", "model_version", "page")
    list_filter = ("state", "recipe")
    list_select_related = ("started_by", "model_version")

    @admin.display(description="page")
    def page(self, run: TrainingRun) -> SafeString:
        """The way to the run's own page."""
        return format_html('<a href="{}">watch</a>', reverse("training-run-page", kwargs={"pk": run.pk}))

    def view_on_site(self, run: TrainingRun) -> str:
        """The run's own page."""
        return reverse("training-run-page", kwargs={"pk": run.pk})
