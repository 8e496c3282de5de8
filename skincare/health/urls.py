"""The two addresses that a supervisor or a load balancer asks."""

from django.urls import path

from skincare.health import views

urlpatterns = [
    path("healthz", views.alive, name="alive"),
    path("readyz", views.ready, name="ready"),
]
