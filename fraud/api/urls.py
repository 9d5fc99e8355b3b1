"""The module's addresses below `/api/v1/`."""

from django.urls import path

from fraud.api import views

urlpatterns = [
    path("fraud/assessments/<id:payment_id>", views.AssessmentDetail.as_view()),
]
