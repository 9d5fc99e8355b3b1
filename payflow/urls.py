"""Every address of the platform; the only file that imports the modules' `api.urls`."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from ledger.api.serializers import posting_resources
from payflow.api import composed, front_page, health, metrics, openapi
from payments.api.operations import CapturePayment, RefundPayment, VoidPayment

api: list[URLPattern | URLResolver] = [
    path("health", health.Health.as_view()),
    path("health/ready", health.Ready.as_view()),
    path("openapi.json", openapi.OpenApi.as_view(), name="openapi"),
    path("", include("merchants.api.urls")),
    path("", include("payments.api.urls")),
    path("", include("fraud.api.urls")),
    path("", include("ledger.api.urls")),
    path("", include("audit.api.urls")),
    path("payments/<id:payment_id>", composed.PaymentDetail.as_view()),
    path("payments/<id:payment_id>/events", composed.PaymentEvents.as_view()),
    path("payments/<id:payment_id>/capture", CapturePayment.as_view(postings_of=posting_resources)),
    path("payments/<id:payment_id>/void", VoidPayment.as_view(postings_of=posting_resources)),
    path("payments/<id:payment_id>/refund", RefundPayment.as_view(postings_of=posting_resources)),
    path("ledger/balances", composed.Balances.as_view()),
]

urlpatterns = [
    path("", front_page.FrontPage.as_view()),
    path("api/v1/", include(api)),
    path("swagger-ui.html", SpectacularSwaggerSplitView.as_view(url_name="openapi")),
    path("admin/", admin.site.urls),
    path("metrics", metrics.Metrics.as_view()),
]

handler400 = "shared.http.problems.bad_request"
handler403 = "shared.http.problems.forbidden"
handler404 = "shared.http.problems.not_found"
handler500 = "shared.http.problems.server_error"
