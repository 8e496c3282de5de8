"""The addresses that a supervisor, a load balancer or Prometheus asks."""

from django.urls import path

from skincare.health import views

urlpatterns = [
    path("healthz", views.alive, name="alive"),
    path("readyz", views.ready, name="ready"),
    path("metrics", views.measured, name="measured"),
]
