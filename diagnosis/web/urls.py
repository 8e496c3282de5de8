"""The addresses of the pages."""

from django.urls import path

from diagnosis.web import privacy
from diagnosis.web.capture import views as capture
from diagnosis.web.worklist import cases, lists, pictures

urlpatterns = [
    path("capture/", capture.CaptureApp.as_view(), name="capture"),
    path("capture/manifest.webmanifest", capture.Manifest.as_view(), name="capture-manifest"),
    path("capture/service-worker.js", capture.ServiceWorker.as_view(), name="capture-worker"),
    path("privacy/", privacy.LookUpPage.as_view(), name="privacy"),
    path("privacy/patients/<uuid:pk>/", privacy.AccessesPage.as_view(), name="privacy-patient"),
    path("worklist/", lists.WorklistPage.as_view(), name="worklist"),
    path("worklist/<uuid:pk>/", cases.CasePage.as_view(), name="worklist-case"),
    path("worklist/<uuid:pk>/revision/", cases.RevisionPage.as_view(), name="worklist-revision"),
    path("worklist/<uuid:pk>/map/", pictures.MapPage.as_view(), name="worklist-map"),
    path("worklist/<uuid:pk>/photographs/<uuid:image>/", pictures.PhotographPage.as_view(), name="worklist-photograph"),
    path(
        "worklist/<uuid:pk>/message-photographs/<uuid:image>/",
        pictures.MessagePhotographPage.as_view(),
        name="worklist-message-photograph",
    ),
    path("worklist/<uuid:pk>/do/<slug:action>/", cases.ActionPage.as_view(), name="worklist-do"),
]
