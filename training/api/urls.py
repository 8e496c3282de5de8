"""The addresses of learning in the REST API, under /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from training.api import datasets, releases, runs

urlpatterns: list[URLPattern | URLResolver] = [
    path("datasets/", datasets.DatasetsView.as_view(), name="datasets"),
    path("datasets/<uuid:pk>/", datasets.DatasetView.as_view(), name="dataset"),
    path("training-runs/", runs.TrainingRunsView.as_view(), name="training-runs"),
    path("training-runs/<uuid:pk>/", runs.TrainingRunView.as_view(), name="training-run"),
    path("training-runs/<uuid:pk>/cancel/", runs.TrainingRunCancelView.as_view(), name="training-run-cancel"),
    path("model-versions/<uuid:pk>/judge/", releases.JudgeView.as_view(), name="model-version-judge"),
    path("model-versions/<uuid:pk>/propose/", releases.ProposeView.as_view(), name="model-version-propose"),
    path("model-versions/<uuid:pk>/withdraw/", releases.WithdrawView.as_view(), name="model-version-withdraw"),
    path("model-versions/<uuid:pk>/approve/", releases.ApproveView.as_view(), name="model-version-approve"),
    path("model-versions/<uuid:pk>/roll-back/", releases.RollBackView.as_view(), name="model-version-roll-back"),
    path("model-versions/<uuid:pk>/shadow/", releases.ShadowView.as_view(), name="model-version-shadow"),
    path("model-versions/<uuid:pk>/release/", releases.ReleaseView.as_view(), name="model-version-release"),
]
