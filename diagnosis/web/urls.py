"""The addresses of the pages."""

from django.urls import path

from diagnosis.web import (
    consents,
    corrections,
    emergency,
    notices,
    outcomes,
    privacy,
    privacy_emergency,
    privacy_rights,
    services,
)
from diagnosis.web.capture import views as capture
from diagnosis.web.insight.pages import InsightPage
from diagnosis.web.worklist import beside, cases, documents, lists, pictures, texts

urlpatterns = [
    path("capture/", capture.CaptureApp.as_view(), name="capture"),
    path("capture/manifest.webmanifest", capture.Manifest.as_view(), name="capture-manifest"),
    path("capture/service-worker.js", capture.ServiceWorker.as_view(), name="capture-worker"),
    path("privacy/", privacy.LookUpPage.as_view(), name="privacy"),
    path("privacy/patients/<uuid:pk>/export/", privacy_rights.ExportPage.as_view(), name="privacy-export"),
    path("privacy/patients/<uuid:pk>/erase/", privacy_rights.ErasePage.as_view(), name="privacy-erase"),
    path("privacy/emergency/", privacy_emergency.EmergencyListPage.as_view(), name="privacy-emergency"),
    path(
        "privacy/emergency/<uuid:pk>/end/", privacy_emergency.EndEmergencyPage.as_view(), name="privacy-emergency-end"
    ),
    path(
        "privacy/organisations/<uuid:pk>/emergency/",
        privacy_emergency.EmergencyPolicyPage.as_view(),
        name="privacy-emergency-policy",
    ),
    path("consents/", consents.LookUpPage.as_view(), name="consents"),
    path("consents/<uuid:pk>/", consents.PatientConsentsPage.as_view(), name="consents-of"),
    path("patients/<uuid:pk>/correct/", corrections.CorrectPage.as_view(), name="patient-correct-page"),
    path("emergency/", emergency.OpenPage.as_view(), name="emergency"),
    path("emergency/<uuid:pk>/", emergency.RecordPage.as_view(), name="emergency-page"),
    path("emergency/<uuid:pk>/end/", emergency.EndPage.as_view(), name="emergency-page-end"),
    path(
        "emergency/<uuid:pk>/photographs/<uuid:image>/",
        emergency.PhotographPage.as_view(),
        name="emergency-page-photograph",
    ),
    path("privacy/patients/<uuid:pk>/", privacy.AccessesPage.as_view(), name="privacy-patient"),
    path("insight/", InsightPage.as_view(), name="insight"),
    path("worklist/", lists.WorklistPage.as_view(), name="worklist"),
    path("worklist/find/", lists.FindPage.as_view(), name="worklist-find"),
    path("worklist/views/", lists.ViewsPage.as_view(), name="worklist-views"),
    path("worklist/texts/", texts.TextsPage.as_view(), name="worklist-texts"),
    path("notices/", notices.NoticesPage.as_view(), name="notices-page"),
    path("outcomes/", outcomes.OutcomesPage.as_view(), name="outcomes-page"),
    path("outcomes/import/", outcomes.ImportPage.as_view(), name="outcome-import"),
    path("outcomes/<uuid:pk>/", outcomes.LesionOutcomePage.as_view(), name="outcome-of-lesion"),
    path("services/", services.ServicesPage.as_view(), name="services"),
    path("services/<uuid:pk>/rules/", services.RulesPage.as_view(), name="service-rules"),
    path("services/<uuid:pk>/webhooks/", services.WebhooksPage.as_view(), name="service-webhooks"),
    path("worklist/<uuid:pk>/", cases.CasePage.as_view(), name="worklist-case"),
    path("worklist/<uuid:pk>/revision/", cases.RevisionPage.as_view(), name="worklist-revision"),
    path("worklist/<uuid:pk>/beside/", beside.BesidePage.as_view(), name="worklist-beside"),
    path("worklist/<uuid:pk>/similar/<uuid:image>/", beside.SimilarPhotographPage.as_view(), name="worklist-similar"),
    path("worklist/references/<uuid:image>/", beside.ReferencePhotographPage.as_view(), name="worklist-reference"),
    path("worklist/<uuid:pk>/map/", pictures.MapPage.as_view(), name="worklist-map"),
    path("worklist/<uuid:pk>/photographs/<uuid:image>/", pictures.PhotographPage.as_view(), name="worklist-photograph"),
    path(
        "worklist/<uuid:pk>/message-photographs/<uuid:image>/",
        pictures.MessagePhotographPage.as_view(),
        name="worklist-message-photograph",
    ),
    path("worklist/<uuid:pk>/documents/<slug:kind>/", documents.DocumentPage.as_view(), name="worklist-document"),
    path("worklist/<uuid:pk>/do/<slug:action>/", cases.ActionPage.as_view(), name="worklist-do"),
]
