"""Every address of the site; each app brings its own."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from skincare import pages

urlpatterns = [
    path("", pages.Home.as_view(), name="home"),
    path("", include("skincare.health.urls")),
    # Browsers ask for it on pages that name no icon, such as the admin's.
    path("favicon.ico", pages.Icon.as_view()),
    path("", include("diagnosis.web.urls")),
    path("api/v1/", include("diagnosis.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(template_name="api/docs.html"), name="docs"),
    path("admin/", admin.site.urls),
]
