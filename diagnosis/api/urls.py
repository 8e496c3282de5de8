"""The addresses of the REST API, under /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from diagnosis.api import (
    accesses,
    cases,
    consents,
    erasures,
    exports,
    images,
    lesions,
    maps,
    me,
    model_versions,
    patients,
    sealed_cases,
    tokens,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/token/", tokens.TokenView.as_view(), name="token"),
    path("auth/token/logout-all/", tokens.LogOutEverywhereView.as_view(), name="token-logout-all"),
    path("me/", me.MeView.as_view(), name="me"),
    path("patients/", patients.PatientsView.as_view(), name="patients"),
    path("patients/look-up/", patients.PatientLookUpView.as_view(), name="patient-look-up"),
    path("patients/<uuid:pk>/", patients.PatientView.as_view(), name="patient"),
    path("patients/<uuid:pk>/consents/", consents.ConsentsView.as_view(), name="patient-consents"),
    path("patients/<uuid:pk>/accesses/", accesses.PatientAccessesView.as_view(), name="patient-accesses"),
    path("patients/<uuid:pk>/erase/", erasures.PatientEraseView.as_view(), name="patient-erase"),
    path("patients/<uuid:pk>/export/", exports.PatientExportView.as_view(), name="patient-export"),
    path("consent-policies/", consents.ConsentPoliciesView.as_view(), name="consent-policies"),
    path("lesions/", lesions.LesionsView.as_view(), name="lesions"),
    path("lesions/<uuid:pk>/", lesions.LesionView.as_view(), name="lesion"),
    path("cases/", cases.CasesView.as_view(), name="cases"),
    path("sealed-cases/", sealed_cases.SealedCasesView.as_view(), name="sealed-cases"),
    path("sealing-key/", sealed_cases.SealingKeyView.as_view(), name="sealing-key"),
    path("cases/<uuid:pk>/", cases.CaseView.as_view(), name="case"),
    path("cases/<uuid:pk>/retry/", cases.CaseRetryView.as_view(), name="case-retry"),
    path("images/<uuid:pk>/content/", images.ImageContentView.as_view(), name="image-content"),
    path("analyses/<uuid:pk>/map/", maps.MapView.as_view(), name="analysis-map"),
    path("model-versions/", model_versions.ModelVersionsView.as_view(), name="model-versions"),
    path("model-versions/<uuid:pk>/", model_versions.ModelVersionView.as_view(), name="model-version"),
]
