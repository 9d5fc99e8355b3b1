"""Commands on what `make run` keeps running, without its environment."""

import os
import subprocess
import sys
from pathlib import Path

from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.home import PROJECT


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    names = ("DATABASE", "CELERY", "REDIS", "PAYFLOW", "DJANGO")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return subprocess.run(
        [sys.executable, "-m", "payflow.runtime.manage", *arguments],
        cwd=PROJECT,
        env=bare | {"PAYFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


class TestManage:
    def test_finds_the_database_of_the_home(self, tmp_path: Path) -> None:
        with EmbeddedPostgres(tmp_path, durable=False):
            assert run(tmp_path, "migrate", "--database=owner", "-v0").returncode == 0
            listed = run(tmp_path, "events", "list")

        assert listed.returncode == 0, listed.stderr
        assert "Nothing is outstanding" in listed.stdout

    def test_says_that_nothing_was_started_there(self, tmp_path: Path) -> None:
        refused = run(tmp_path, "events", "list")

        assert refused.returncode == 1
        assert refused.stderr == f"No PayFlow was ever started in {tmp_path}.\n"

    def test_passes_on_how_the_command_ended(self, tmp_path: Path) -> None:
        with EmbeddedPostgres(tmp_path, durable=False):
            assert run(tmp_path, "no-such-command").returncode == 1
