"""The module's addresses below `/api/v1/`."""

from django.urls import path

from audit.api import views

urlpatterns = [
    path("audit/events", views.AuditEvents.as_view()),
]
