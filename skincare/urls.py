"""Every address of the site; each app brings its own."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from diagnosis.api.problems import nothing_here
from skincare import error_pages, pages
from skincare.appearance import AppearanceView

handler400 = error_pages.cannot_be_read
handler403 = error_pages.not_allowed
handler404 = error_pages.nothing_here
handler500 = error_pages.failed

admin.site.site_header = "Skincare administration"
admin.site.site_title = "Skincare"
admin.site.index_title = "Accounts, consent texts, the queue and the record"

urlpatterns = [
    path("", pages.Home.as_view(), name="home"),
    path("", include("skincare.health.urls")),
    # Browsers ask for it on pages that name no icon, such as the admin's.
    path("favicon.ico", pages.Icon.as_view()),
    path("", include("diagnosis.web.urls")),
    path("", include("training.web.urls")),
    path("api/v1/", include("diagnosis.api.urls")),
    path("api/v1/", include("training.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(template_name="api/docs.html"), name="docs"),
    # What else is under /api/ does not exist: said with a problem document and not a page of HTML.
    re_path(r"^api/(?P<path>.*)$", nothing_here, name="nothing-here"),
    path("start/", pages.Start.as_view(), name="start"),
    path("appearance/", AppearanceView.as_view(), name="appearance"),
    path("", include("skincare.signing_in.urls")),  # before the admin, whose log-in it takes over
    path("admin/", admin.site.urls),
]
