"""What every measurement stands on: one embedded PostgreSQL, migrated, and platforms over it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.processes import wait_until
from payflow.runtime.scratch import Platform, platform, scratch_home

_PATIENCE_SECONDS = 600
_OUTSTANDING = """
SELECT (SELECT count(*) FROM shared.publication)
     + (SELECT count(*) FROM payments.operation WHERE due_at IS NOT NULL)
     + (SELECT count(*) FROM notifications.message WHERE due_at IS NOT NULL)
"""


@dataclass(frozen=True)
class Ground:
    """A home and a server; every platform here works on the same database."""

    home: Path
    server: EmbeddedPostgres

    @property
    def urls(self) -> dict[str, str]:
        """The database and the broker in it."""
        return {
            "DATABASE_URL": self.server.app_url,
            "DATABASE_OWNER_URL": self.server.owner_url,
            "CELERY_BROKER_URL": self.server.broker_url,
            "PAYFLOW_LOG_LEVEL": "WARNING",
        }

    def platform(self, **configuration: str) -> AbstractContextManager[Platform]:
        """A running PayFlow."""
        return platform(self.home, **self.urls | configuration)

    def run(self, *command: str, **environment: str) -> None:
        """Run one of our programs on this database."""
        variables = os.environ | self.urls | environment
        subprocess.run([sys.executable, *command], env=variables, check=True)

    def migrate(self, app_url: str, owner_url: str) -> None:
        """Make the tables in a database of this server."""
        urls = {"DATABASE_URL": app_url, "DATABASE_OWNER_URL": owner_url}
        self.run("manage.py", "migrate", "--database=owner", "-v0", **urls)

    def wait_until_drained(self) -> None:
        """Wait for the last event, call and e-mail."""
        with psycopg.connect(self.server.app_url, autocommit=True) as app:
            if not wait_until(
                lambda: app.execute(_OUTSTANDING).fetchone() == (0,),
                _PATIENCE_SECONDS,
                every_seconds=0.02,
            ):
                raise RuntimeError("The platform did not drain within ten minutes.")


@contextmanager
def ground() -> Iterator[Ground]:
    """A fresh one for the block."""
    with scratch_home("bench") as home, EmbeddedPostgres(home / "server") as server:
        made = Ground(home, server)
        made.migrate(server.app_url, server.owner_url)
        yield made


def say(what: str, figure: str, ratio: str = "") -> None:
    """Print a row of the table."""
    sys.stdout.write(f"{what:<38}{figure:<30}{ratio}\n")
    sys.stdout.flush()
