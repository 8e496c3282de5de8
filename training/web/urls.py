"""The addresses of the pages."""

from django.urls import path

from training.web import pages

urlpatterns = [
    path("training/", pages.OverviewPage.as_view(), name="training"),
    path("training/datasets/<uuid:pk>/", pages.DatasetPage.as_view(), name="training-dataset-page"),
    path("training/leakage/", pages.LeakagePage.as_view(), name="training-leakage"),
    path("training/runs/<uuid:pk>/", pages.RunPage.as_view(), name="training-run-page"),
    path("training/runs/<uuid:pk>/progress/", pages.RunProgress.as_view(), name="training-run-progress"),
    path("training/versions/<uuid:pk>/", pages.VersionPage.as_view(), name="training-version-page"),
    path("training/versions/<uuid:pk>/card/", pages.ModelCardPage.as_view(), name="training-version-card"),
]
