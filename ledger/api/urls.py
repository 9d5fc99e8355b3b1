"""The module's addresses below `/api/v1/`."""

from django.urls import path

from ledger.api import views

urlpatterns = [
    path("ledger/journal/<id:correlation_id>", views.JournalOfStory.as_view()),
]
