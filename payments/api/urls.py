"""The module's addresses below `/api/v1/`."""

from django.urls import path

from payments.api import views

urlpatterns = [
    path("payments", views.Payments.as_view()),
    path("payments/authorize", views.AuthorisePayment.as_view()),
]
