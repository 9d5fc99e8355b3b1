"""The first person who can log in, and what is said of them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db

PASSWORD = "PAYFLOW_ADMIN_PASSWORD"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def run() -> str:
        call_command("ensure_admin")
        return capsys.readouterr().out.strip()

    return run


class TestEnsureAdmin:
    def test_creates_who_can_log_in_once(
        self, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PASSWORD, "quite a long one")
        assert said() == f"user admin was created with {PASSWORD}"
        monkeypatch.setenv(PASSWORD, "another long one")
        assert said() == "user admin exists, with the password it had"
        assert User.objects.get().check_password("quite a long one")

    def test_tells_of_nobody_who_does_not_exist(
        self, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(PASSWORD, raising=False)
        assert said().startswith("nobody can log in yet: set")
        assert not User.objects.exists()
        User.objects.create_superuser("olga")
        assert said() == "no user admin; 1 other people may log in"

    def test_says_when_admin_may_not_log_in(self, said: Callable[[], str]) -> None:
        User.objects.create_superuser("admin")
        assert said() == "user admin exists and may not log in"

    @pytest.mark.parametrize("weak", ["admin", "elevenchars"])
    def test_takes_no_weak_password_in_production(
        self, weak: str, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PASSWORD, weak)
        settings.IS_PRODUCTION = True
        with pytest.raises(CommandError, match=PASSWORD):
            call_command("ensure_admin")
        assert not User.objects.exists()
