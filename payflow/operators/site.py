"""The admin site's own pages for coming and going."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from payflow.operators import trail
from payflow.operators.pages import LoginForm, PasswordForm, answered_login
from payflow.operators.trail import Outcome
from shared.http.throttling import address_of


class ChangePassword(PasswordChangeView):
    """Django's page, with our form."""

    form_class = PasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """Where the request came from, too."""
        return super().get_form_kwargs() | {"address": address_of(self.request)}


class GuardedAdminSite(AdminSite):
    """Django's admin, with limits on tries and a trail of who came and went."""

    login_form = LoginForm

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let a person in."""
        return answered_login(request, super().login(request, extra_context))

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let a person out."""
        username, is_asked = request.user.get_username(), request.method == "POST"
        response = super().logout(request, extra_context)
        if username and is_asked:
            trail.note(Outcome.LOGGED_OUT, username=username, address=address_of(request))
        return response

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Let a person change their password."""
        page = ChangePassword.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        request.current_app = self.name
        return page(request)
