"""What this start was asked to do: the variables of the person, and those of the children."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from payflow.runtime import variables
from payflow.runtime.embedded_postgres import EmbeddedPostgres, is_free
from payflow.runtime.errors import CannotStart
from payflow.runtime.home import Home
from payflow.runtime.ports import free_port

DEFAULT_PORT = 8000
_HIGHEST_PORT = 65535
_MOST_OF_A_KIND = 32


@dataclass(frozen=True)
class Configuration:
    """
    A home, a port, and the environment that `make run` was called in.

    `sandbox_port` is where a sandbox of ours shall listen; 0 if there is none to start.
    """

    home: Home
    port: int
    given: Mapping[str, str]
    sandbox_port: int = 0

    @classmethod
    def from_environment(cls) -> Self:
        """Reads `PORT`, `PAYFLOW_HOME` and the rest."""
        port, given = _port(), variables.without_libpq(os.environ)
        return cls(Home.from_environment(), port, given, _sandbox_port(port, given))

    # Queries -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the web part serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dispatchers(self) -> int:
        """How many dispatchers to run; none when a thread of the web process drains the bus."""
        in_web = self.text("PAYFLOW_DISPATCH") == "web"
        given = self.text("PAYFLOW_DISPATCHERS")
        return 0 if in_web else _a_few(given, name="PAYFLOW_DISPATCHERS")

    @property
    def workers(self) -> int:
        """How many Celery workers to run."""
        return _a_few(self.text("PAYFLOW_WORKERS"), name="PAYFLOW_WORKERS")

    @property
    def has_database(self) -> bool:
        """Whether the person has named a database."""
        return bool(self.text("DATABASE_URL"))

    @property
    def broker(self) -> str:
        """The Celery broker that the person has named, if any."""
        return self.text("CELERY_BROKER_URL") or self.text("REDIS_URL")

    @property
    def needs_postgres(self) -> bool:
        """Whether the embedded server has to be database, broker or both."""
        return not self.has_database or not self.broker

    @property
    def is_production(self) -> bool:
        """Whether secrets must be given: generated ones would hide that they are missing."""
        return self.text("PAYFLOW_MODE") == "production"

    @property
    def sandbox_url(self) -> str:
        """Where the sandbox serves, ours or the one that the person has named; empty for none."""
        if self.sandbox_port:
            return f"http://127.0.0.1:{self.sandbox_port}"
        return self.text("PAYFLOW_SANDBOX_URL")

    @property
    def generated_secrets(self) -> dict[str, str]:
        """The application's secrets, as far as they were not given."""
        if self.is_production:
            return {}
        secrets = self.home.application_secrets()
        return {name: value for name, value in secrets.items() if not self.text(name)}

    def text(self, name: str) -> str:
        """A variable; empty when it is unset."""
        return variables.text(name, source=self.given)

    def check_port(self) -> None:
        """
        Makes sure that the web part will be able to listen.

        Raises:
            CannotStart: naming the port, and how to choose another.

        """
        if not is_free(self.port):
            raise CannotStart(
                f"Port {self.port} of 127.0.0.1 is in use by another program. Stop that, or choose "
                f"another port: make run PORT={self.port + 1}"
            )

    # Environments ------------------------------------------------------------------------------

    def part_environment(self, postgres: EmbeddedPostgres | None) -> dict[str, str]:
        """For parts that serve: nothing in it that only administration needs."""
        environment = self._common_environment(postgres)
        for name in ("DATABASE_OWNER_URL", "PAYFLOW_ADMIN_PASSWORD"):
            environment.pop(name, None)
        return environment

    def administration_environment(self, postgres: EmbeddedPostgres | None) -> dict[str, str]:
        """For migrations and the first admin: the owner's access too."""
        environment = self._common_environment(postgres)
        if postgres is not None and not self.has_database:
            environment["DATABASE_OWNER_URL"] = postgres.owner_url
        return environment

    def _common_environment(self, postgres: EmbeddedPostgres | None) -> dict[str, str]:
        environment = dict(self.given) | self.generated_secrets
        environment |= {"PAYFLOW_HOME": str(self.home.path), "PORT": str(self.port)}
        environment["PAYFLOW_SANDBOX_URL"] = self.sandbox_url
        environment["PAYFLOW_METRICS_DIR"] = self.text("PAYFLOW_METRICS_DIR") or str(
            self.home.metrics
        )
        environment["CELERY_BROKER_URL"] = self.broker or (postgres.broker_url if postgres else "")
        if postgres is not None and not self.has_database:
            environment["DATABASE_URL"] = postgres.app_url
        return environment


def _sandbox_port(port: int, given: Mapping[str, str]) -> int:
    """A port for a sandbox of ours, next to the web's if that is free; chosen once for a run."""
    is_production = variables.text("PAYFLOW_MODE", source=given) == "production"
    if is_production or variables.text("PAYFLOW_SANDBOX_URL", source=given):
        return 0
    return port + 1 if port < _HIGHEST_PORT and is_free(port + 1) else free_port()


def _a_few(given: str, *, name: str) -> int:
    number = given or "1"
    if not number.isdigit() or not 1 <= int(number) <= _MOST_OF_A_KIND:
        raise CannotStart(f"{name} must be a number from 1 to {_MOST_OF_A_KIND}, not {given!r}.")
    return int(number)


def _port() -> int:
    given = variables.text("PORT", str(DEFAULT_PORT))
    if not given.isdigit() or not 0 < int(given) <= _HIGHEST_PORT:
        raise CannotStart(f"PORT must be a number from 1 to {_HIGHEST_PORT}, not {given!r}.")
    return int(given)
