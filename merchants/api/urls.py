"""The module's addresses below `/api/v1/`."""

from django.urls import path

from merchants.api import (
    openapi,  # noqa: F401 - describes the authentication
    signature_check,
    views,
)

urlpatterns = [
    path("merchants/register", views.RegisterMerchant.as_view()),
    path("merchants/me", views.Me.as_view()),
    path("merchants/keys", views.Keys.as_view()),
    path("merchants/keys/rotate", views.RotateKey.as_view()),
    path("merchants/keys/<id:key_id>", views.RevokeKey.as_view()),
    path("sandbox/signature-check", signature_check.SignatureCheck.as_view()),
]
