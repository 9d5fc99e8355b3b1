"""What switches externalisation on, and what stops the start instead."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from shared.event_bus import _registry, externalise
from shared.event_bus._connecting import Address, BrokerTrouble
from shared.event_bus._outlet import Outlet
from shared.event_bus._registry import ids_listening_to
from shared.events import catalogue
from shared.events.merchants import MerchantAccountRegistered
from shared.events.operators import OperatorActionTaken

ROOT = Path(__file__).resolve().parents[3]
SECRET = "hunter2"


@pytest.fixture
def register(settings: Any) -> Iterator[Any]:
    def registered(url: str = "amqp://127.0.0.1//", **more: Any) -> None:
        settings.EVENTS_URL = url
        for name, value in more.items():
            setattr(settings, name, value)
        externalise.register()

    yield registered
    _registry.listeners.pop(externalise.LISTENER_ID, None)
    _registry.ids_listening_to.cache_clear()


class TestSwitchingOn:
    def test_is_off_by_default(self, register: Any) -> None:
        register("")

        assert externalise.LISTENER_ID not in _registry.listeners
        assert externalise.relays() == {}

    def test_takes_every_type_unless_some_are_named(self, register: Any) -> None:
        register()

        for event in catalogue.contracts():
            assert externalise.LISTENER_ID in ids_listening_to(event)  # type: ignore[arg-type]

    def test_takes_the_types_that_match(self, register: Any) -> None:
        register(EVENTS_TYPES=["Payment.Transaction.*", "Operator.Action.Taken"])

        assert externalise.LISTENER_ID in ids_listening_to(OperatorActionTaken)
        assert externalise.LISTENER_ID not in ids_listening_to(MerchantAccountRegistered)

    def test_has_no_effect_of_its_own(self, register: Any) -> None:
        register()

        with pytest.raises(externalise.SentByTheRelay):
            _registry.listeners[externalise.LISTENER_ID].function([])


class TestASettingThatCannotBeMeant:
    @pytest.mark.parametrize(
        ("url", "complaint"),
        [
            ("memory://", "must begin with one of amqp://"),
            (f"sqs://user:{SECRET}@host", "must begin with one of amqp://"),
            (f"user:{SECRET}@host:5672", "must begin with one of amqp://"),
            (f"amqp://user:{SECRET}@host:port//", "cannot be read as a URL"),
        ],
    )
    def test_is_refused_without_showing_the_password(
        self, url: str, complaint: str, register: Any
    ) -> None:
        with pytest.raises(ImproperlyConfigured, match=complaint) as refusal:
            register(url)

        assert SECRET not in str(refusal.value)

    def test_names_the_missing_package(
        self, register: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(externalise, "find_spec", lambda name: None)

        with pytest.raises(ImproperlyConfigured, match=r"confluent-kafka: pip install.*\[kafka\]"):
            register("confluentkafka://127.0.0.1:9092")

    def test_is_a_type_that_no_event_has(self, register: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"Payment[.]Transacton"):
            register(EVENTS_TYPES=["Operator.*", "Payment.Transacton.*"])

    @pytest.mark.parametrize("options", ["[]", "{", "1"])
    def test_is_an_option_that_is_no_object(self, options: str, register: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match="PAYFLOW_EVENTS_OPTIONS"):
            register(EVENTS_OPTIONS=options)

    def test_stops_the_start_of_every_process(self) -> None:
        environment = {"PATH": "", "PAYFLOW_EVENTS_URL": f"sqs://user:{SECRET}@host"}

        ended = subprocess.run(
            [sys.executable, "manage.py", "check"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert ended.returncode != 0
        assert "PAYFLOW_EVENTS_URL must begin with" in ended.stderr
        assert SECRET not in ended.stderr + ended.stdout


class TestTrouble:
    @pytest.mark.parametrize("scheme", ["amqp", "redis"])
    def test_never_tells_the_password(self, scheme: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        address = Address(f"{scheme}://user:{SECRET}@127.0.0.1:{port}//", "topic", "letters")

        with pytest.raises(BrokerTrouble) as trouble:
            Outlet(address).open()

        assert SECRET not in str(trouble.value)
        assert SECRET not in repr(address)
