"""The module's addresses below `/api/v1/`."""

from django.urls import path

from payments.api import tokens, views

urlpatterns = [
    path("payments", views.Payments.as_view()),
    path("payments/authorize", views.AuthorisePayment.as_view()),
    path("payments/cancel-by-key", views.CancelByKey.as_view()),
    path("payments/<id:payment_id>/refunds", views.RefundsOfPayment.as_view()),
    path("payments/<id:payment_id>/history", views.PaymentHistory.as_view()),
    path("refunds/<id:refund_id>", views.Refund.as_view()),
    path("processor-callbacks/<slug:processor>", views.ProcessorCallback.as_view()),
    path("tokens", tokens.Tokens.as_view()),
    path("tokens/<str:token>", tokens.TokenDetail.as_view()),
]
