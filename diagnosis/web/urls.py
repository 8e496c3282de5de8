"""The addresses of the pages."""

from django.urls import path

from diagnosis.web import privacy
from diagnosis.web.capture import views as capture

urlpatterns = [
    path("capture/", capture.CaptureApp.as_view(), name="capture"),
    path("capture/manifest.webmanifest", capture.Manifest.as_view(), name="capture-manifest"),
    path("capture/service-worker.js", capture.ServiceWorker.as_view(), name="capture-worker"),
    path("privacy/", privacy.LookUpPage.as_view(), name="privacy"),
    path("privacy/patients/<uuid:pk>/", privacy.AccessesPage.as_view(), name="privacy-patient"),
]
