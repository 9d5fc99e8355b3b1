"""The pages at which operators log in, log out and change their password."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import Throttled

from payflow.operators import trail
from payflow.operators.hashing import known
from payflow.operators.trail import Outcome
from payflow.operators.tries import OLD_PASSWORD, remember_browser
from shared import clock
from shared.errors import Unavailable
from shared.http.problems import RETRY_AFTER_SECONDS


class LoginForm(AdminAuthenticationForm):
    """Name and password; says in plain words what is wrong, and not which names exist."""

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": "The name or the password is wrong, or this account may not log in here."
        " Capitals matter in both. After several wrong tries one has to wait.",
    }
    retry_after_seconds = 0

    def clean(self) -> dict[str, Any]:
        """Raises: ValidationError, also when there were too many tries."""
        try:
            return super().clean()
        except Throttled as refusal:
            self.retry_after_seconds = _seconds(refusal)
            raise ValidationError(_too_many(refusal), code="too_many_tries") from None


class PasswordForm(AdminPasswordChangeForm):
    """A new password for who knows the old one, which cannot be guessed here either."""

    def __init__(self, *given: Any, address: str = "", **options: Any) -> None:
        """Take what Django's form takes, and where the request came from."""
        super().__init__(*given, **options)
        self._about = {"username": self.user.get_username(), "address": address}

    def clean_old_password(self) -> str:
        """Raises: ValidationError."""
        try:
            OLD_PASSWORD.take(str(self.user.pk))
        except Throttled as refusal:
            raise ValidationError(_too_many(refusal), code="too_many_tries") from None
        try:
            old = super().clean_old_password()
        except Unavailable:
            OLD_PASSWORD.give_back(str(self.user.pk))
            raise
        except ValidationError:
            trail.note(Outcome.PASSWORD_REFUSED, **self._about)
            raise
        OLD_PASSWORD.forget(str(self.user.pk))
        return str(old)

    def save(self, commit: bool = True) -> Any:
        """Store the new one, and tell the trail."""
        user = super().save(commit=commit)
        trail.note(Outcome.PASSWORD_CHANGED, **self._about)
        return user


def answered_login(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer of Django's login page, with what we have to add."""
    form = (getattr(response, "context_data", None) or {}).get("form")
    if seconds := getattr(form, "retry_after_seconds", 0):
        response.status_code = 429
        response.headers["Retry-After"] = str(seconds)
    elif request.method == "POST" and request.user.is_authenticated:
        remember_browser(request, response, request.user.get_username())
    return response


def begin_session(request: HttpRequest, **_: Any) -> None:
    """However much it is used, a session ends a fixed time after the log-in."""
    request.session.set_expiry(clock.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))


user_logged_in.connect(begin_session, dispatch_uid="payflow.operators")


class OperatorPages:
    """Middleware of the admin: who is logged in is known, and what is `Unavailable` is a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the rest of the chain."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on."""
        if not request.path_info.startswith("/admin/"):
            return self._get_response(request)
        with known(is_so=request.user.is_authenticated):
            return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The page, with the time after which to try again."""
        if not isinstance(error, Unavailable) or not request.path_info.startswith("/admin/"):
            return None
        about = {"title": "Busy", "detail": error.detail}
        page = render(request, "payflow/admin/busy.html", about, status=error.status)
        page.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return page


def _seconds(refusal: Throttled) -> int:
    return math.ceil(vars(refusal).get("wait") or 1)


def _too_many(refusal: Throttled) -> str:
    minutes = math.ceil(_seconds(refusal) / 60)
    return (
        f"Too many tries. Wait {minutes} minute{'s' if minutes > 1 else ''} and try again; more"
        " tries before that do not help. Whoever runs PayFlow can let you in at once."
    )
