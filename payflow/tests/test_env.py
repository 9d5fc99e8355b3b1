"""Reading the environment."""

import pytest
from django.conf import settings

from payflow.env import environment


class TestHost:
    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("https://pay.example.com", "pay.example.com"),
            ("https://Pay.Example.com:8443/x", "pay.example.com"),
            ("http://127.0.0.1:8000", "127.0.0.1"),
            ("http://[::1]:8000", "[::1]"),
            ("nothing", ""),
        ],
    )
    def test_is_as_a_header_names_it(self, url: str, host: str) -> None:
        assert environment.host(url) == host

    def test_that_processors_are_told_to_call_is_served(self) -> None:
        assert environment.host(settings.PUBLIC_URL) in settings.ALLOWED_HOSTS
