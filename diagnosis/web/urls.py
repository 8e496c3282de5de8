"""The addresses of the pages."""

from django.urls import path

from diagnosis.web import privacy

urlpatterns = [
    path("privacy/", privacy.LookUpPage.as_view(), name="privacy"),
    path("privacy/patients/<uuid:pk>/", privacy.AccessesPage.as_view(), name="privacy-patient"),
]
