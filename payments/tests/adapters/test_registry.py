"""Which processors there are, and which of them can be called."""

import pytest
from pytest_django import Settings

from payments.adapters import registry
from payments.adapters.registry import is_configured, processor_named, processor_names

SANDBOX = ["sandbox", "sandbox-backup", "sandbox-wallet", "sandbox-bank"]


@pytest.fixture(autouse=True)
def nothing_configured(settings: Settings) -> Settings:
    settings.SANDBOX_URL = settings.SANDBOX_SECRET = settings.STRIPE_SECRET_KEY = ""
    return settings


class TestRegistry:
    def test_names_them_as_they_name_themselves(self) -> None:
        assert processor_names() == [*SANDBOX, "stripe"]
        assert [processor_named(name).name for name in processor_names()] == processor_names()
        assert registry.DEFAULT_PROCESSOR in processor_names()

    def test_knows_no_other(self) -> None:
        with pytest.raises(KeyError):
            processor_named("nobody")
        assert not is_configured("nobody")

    def test_says_which_can_be_called(self, settings: Settings) -> None:
        assert not any(map(is_configured, processor_names()))
        settings.SANDBOX_URL, settings.SANDBOX_SECRET = "http://127.0.0.1:9", "secret"
        assert [name for name in processor_names() if is_configured(name)] == SANDBOX
        settings.STRIPE_SECRET_KEY = "sk_test_1"
        assert is_configured("stripe")

    def test_needs_the_library_for_stripe(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.STRIPE_SECRET_KEY = "sk_test_1"
        monkeypatch.setattr("payments.adapters.stripe_processor.find_spec", lambda name: None)
        assert not is_configured("stripe")

    def test_takes_a_stand_in_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry._PROCESSORS, "sandbox", object())
        assert is_configured("sandbox")
