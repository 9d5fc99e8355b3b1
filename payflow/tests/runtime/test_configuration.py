"""What a start was asked to do: where the sandbox is, and what the parts are told of it."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from payflow.runtime.configuration import Configuration
from payflow.runtime.embedded_postgres import is_free
from payflow.runtime.errors import CannotStart
from payflow.runtime.ports import free_port
from payflow.runtime.supervisor import Supervisor, banner


def configured(
    monkeypatch: pytest.MonkeyPatch, home: Path, port: int, **given: str
) -> Configuration:
    for name in ("PAYFLOW_MODE", "PAYFLOW_SANDBOX_URL", "PAYFLOW_SANDBOX_SECRET"):
        monkeypatch.delenv(name, raising=False)
    environment: Mapping[str, str] = {"PAYFLOW_HOME": str(home), "PORT": str(port)} | given
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    configuration = Configuration.from_environment()
    configuration.home.prepare()
    return configuration


def names_of_parts(configuration: Configuration) -> list[str]:
    return [part.name for part in Supervisor(configuration)._parts]


def pair_of_free_ports() -> int:
    while not is_free((port := free_port()) + 1):
        pass
    return port


class TestSandbox:
    def test_serves_next_to_the_web(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        port = pair_of_free_ports()
        configuration = configured(monkeypatch, tmp_path, port)

        assert configuration.sandbox_url == f"http://127.0.0.1:{port + 1}"
        assert names_of_parts(configuration) == ["sandbox", "web", "dispatcher", "worker", "beat"]
        assert f"  Sandbox  {configuration.sandbox_url}\n" in banner(configuration)
        environment = configuration.part_environment(None)
        assert environment["PAYFLOW_SANDBOX_URL"] == configuration.sandbox_url
        assert environment["PAYFLOW_SANDBOX_SECRET"] in (tmp_path / "secrets.env").read_text()

    def test_keeps_its_book_in_the_home(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        configuration = configured(monkeypatch, tmp_path, 8000)
        command = Supervisor(configuration)._parts[0].command
        assert command[-4:] == (
            "--port", str(configuration.sandbox_port), "--book", str(tmp_path / "sandbox.sqlite3"),
        )  # fmt: skip

    def test_evades_a_busy_port(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        port = pair_of_free_ports()
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", port + 1))
            busy.listen()
            configuration = configured(monkeypatch, tmp_path, port)
        assert configuration.sandbox_port not in (0, port, port + 1)

    @pytest.mark.parametrize("port", [1, 65534, 65535])
    def test_has_a_port_next_to_any(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int
    ) -> None:
        assert 0 < configured(monkeypatch, tmp_path, port).sandbox_port <= 65535

    def test_is_not_started_when_another_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        url, secret = "http://127.0.0.1:9", "given"
        configuration = configured(
            monkeypatch, tmp_path, 8000, PAYFLOW_SANDBOX_URL=url, PAYFLOW_SANDBOX_SECRET=secret
        )
        assert configuration.sandbox_port == 0
        assert "sandbox" not in names_of_parts(configuration)
        environment = configuration.part_environment(None)
        assert environment["PAYFLOW_SANDBOX_URL"] == url
        assert environment["PAYFLOW_SANDBOX_SECRET"] == secret
        assert url in banner(configuration)

    def test_does_not_exist_in_production(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        configuration = configured(monkeypatch, tmp_path, 8000, PAYFLOW_MODE="production")
        assert "sandbox" not in names_of_parts(configuration)
        assert not configuration.part_environment(None)["PAYFLOW_SANDBOX_URL"]
        assert "PAYFLOW_SANDBOX_SECRET" not in configuration.part_environment(None)
        assert "Sandbox" not in banner(configuration)


class TestOwner:
    def test_is_known_to_what_administers_only(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        urls = {"DATABASE_URL": "postgresql://a@h/d", "DATABASE_OWNER_URL": "postgresql://o@h/d"}
        configuration = configured(monkeypatch, tmp_path, 8000, **urls)
        assert "DATABASE_OWNER_URL" not in configuration.part_environment(None)
        administration = configuration.administration_environment(None)
        assert administration["DATABASE_OWNER_URL"] == urls["DATABASE_OWNER_URL"]


class TestBanner:
    def test_tells_the_generated_password_while_it_may_be_right(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("PAYFLOW_ADMIN_PASSWORD", raising=False)
        configuration = configured(monkeypatch, tmp_path, 8000)
        password = configuration.generated_secrets["PAYFLOW_ADMIN_PASSWORD"]
        made = "user admin was created with PAYFLOW_ADMIN_PASSWORD"
        known = "user admin exists, with the password it had"
        assert f"user admin, password {password}\n" in banner(configuration, made)
        assert f"password {password} unless it was changed\n" in banner(configuration, known)
        shut_out = banner(configuration, "user admin exists and may not log in")
        assert "may not log in" in shut_out and password not in shut_out

    def test_names_no_user_that_does_not_exist(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        configuration = configured(monkeypatch, tmp_path, 8000, PAYFLOW_MODE="production")
        text = banner(configuration, "nobody can log in yet: set PAYFLOW_ADMIN_PASSWORD")
        assert "nobody can log in yet" in text
        assert "user admin" not in text


class TestDispatchers:
    def test_and_workers_are_as_many_as_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        counts = {"PAYFLOW_DISPATCHERS": "2", "PAYFLOW_WORKERS": "3"}
        parts = Supervisor(configured(monkeypatch, tmp_path, 8000, **counts))._parts

        names = [part.name for part in parts]
        assert names[2:] == ["dispatcher", "dispatcher-2", "worker", "worker-2", "worker-3", "beat"]
        # Celery's workers must not have the same node name.
        nodes = {part.command[-1] for part in parts if part.name.startswith("worker")}
        assert nodes == {"--hostname=worker@%h", "--hostname=worker-2@%h", "--hostname=worker-3@%h"}

    def test_are_none_when_the_web_drains(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        configuration = configured(monkeypatch, tmp_path, 8000, PAYFLOW_DISPATCH="web")
        assert "dispatcher" not in names_of_parts(configuration)

    @pytest.mark.parametrize("count", ["0", "-1", "two", "33", "1.5"])
    def test_are_a_sensible_number(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: str
    ) -> None:
        configuration = configured(monkeypatch, tmp_path, 8000, PAYFLOW_DISPATCHERS=count)
        with pytest.raises(CannotStart, match="PAYFLOW_DISPATCHERS must be a number from 1 to 32"):
            Supervisor(configuration)
