"""What docker-compose.yml starts would work: in production, for its health checks, all at once."""

import re
import subprocess
import sys
from typing import Any

import pytest

from payflow import scraping
from payflow.env import Environment
from payflow.production import refuse_to_start_wrongly
from payflow.runtime.ports import free_port
from payflow.tests.contracts.test_packaging import COMPOSE, OURS, SERVICES

IN_PRODUCTION = {
    "PAYFLOW_MODE": "production",
    "PAYFLOW_SECRET_KEY": "0123456789" * 5,
    "PAYFLOW_KEY_RING": "k1:bm90IHB1Ymxpc2hlZCwgYnV0IGluIGEgdGVzdCBvLms=",
    "PAYFLOW_ALLOWED_HOSTS": "pay.example.com",
    "PAYFLOW_PUBLIC_URL": "https://pay.example.com",
    "PAYFLOW_METRICS_TOKEN": "sixteen-letters!",
    "EMAIL_HOST": "smtp.example.com",
    "DEFAULT_FROM_EMAIL": "PayFlow <no-reply@pay.example.com>",
    "APP_PASSWORD": "a9f3",
    "OWNER_PASSWORD": "b8e2",
    "RABBITMQ_PASSWORD": "c7d1",
}


def told(service: str, **given: str) -> dict[str, str]:
    """The environment of a service, when compose is started with these variables."""
    environment = SERVICES[service]["environment"]
    return {name: filled_in(str(value), given) for name, value in environment.items()}


def filled_in(text: str, given: dict[str, str]) -> str:
    """`${NAME:-default}` as compose reads it; a default may hold further ones."""
    innermost = re.compile(r"\$\{([A-Z0-9_]+):-([^{}]*)\}")
    while innermost.search(text):
        text = innermost.sub(lambda found: given.get(found[1]) or found[2], text)
    return text


class TestProduction:
    @pytest.mark.parametrize("service", sorted(set(OURS) - {"sandbox"}))
    def test_starts_every_service(self, service: str) -> None:
        refuse_to_start_wrongly(Environment(told(service, **IN_PRODUCTION)))


class TestHealthChecks:
    @pytest.mark.parametrize("service", ["dispatcher", "worker"])
    def test_are_passed_by_who_serves_metrics_behind_a_token(
        self, settings: Any, service: str
    ) -> None:
        environment, port = told(service), free_port()
        settings.METRICS_TOKEN = environment["PAYFLOW_METRICS_TOKEN"]
        assert settings.METRICS_TOKEN
        kind, python, *asking, url = SERVICES[service]["healthcheck"]["test"]
        assert (kind, python) == ("CMD", "python")
        here = url.replace(environment["PAYFLOW_METRICS_PORT"], str(port))
        command = [sys.executable, *asking, here]
        assert subprocess.run(command, check=False, timeout=30).returncode == 1
        scraping.serve("127.0.0.1", port)
        ended = subprocess.run(command, check=False, timeout=30, capture_output=True)
        assert ended.returncode == 0, ended.stdout


class TestConnections:
    """PostgreSQL takes all of them, also when as many are started as the file says at its top."""

    MARGIN = 50
    """Migrations, beat's jobs, scrapes, people, and PostgreSQL's own reserve."""
    OF_A_DISPATCHER = 4
    """Two loops, the relay, and the line on which it listens."""
    BESIDE_A_POOL = 3
    """A worker's look around and the slot it holds; the line on which webs and workers ring."""

    def test_are_as_many_as_could_be_needed(self) -> None:
        assert self._of_webs() >= 2 * 2 * 32
        needed = self._of_webs() + self._of_what_is_scaled() + self.MARGIN
        (most,) = re.findall(r"max_connections=(\d+)", " ".join(SERVICES["postgres"]["command"]))
        assert needed <= int(most)

    def _of_webs(self) -> int:
        webs = [told(name) for name in OURS if told(name).get("PAYFLOW_PROCESS") == "web"]
        return sum(
            int(web["PAYFLOW_WEB_WORKERS"]) * (int(web["PAYFLOW_WEB_THREADS"]) + self.BESIDE_A_POOL)
            for web in webs
        )

    def _of_what_is_scaled(self) -> int:
        scaled = {name: int(count) for name, count in re.findall(r"--scale (\w+)=(\d+)", COMPOSE)}
        (pool,) = re.findall(r"--concurrency=(\d+)", " ".join(SERVICES["worker"]["command"]))
        of_a_worker = int(pool) + self.BESIDE_A_POOL
        return scaled["dispatcher"] * self.OF_A_DISPATCHER + scaled["worker"] * of_a_worker
