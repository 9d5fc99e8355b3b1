"""Homes for servers, and the certainty that nothing of them is left."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.home import PROJECT
from payflow.runtime.postgres_binaries import find_binaries, version_of
from payflow.runtime.postgres_leftovers import stop_leftovers
from payflow.runtime.postgres_place import Place, fallback_area
from payflow.runtime.server_user import ServerUser


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that does not exist yet; whatever a test leaves of its server is removed."""
    path = tmp_path / "home"
    yield path
    remove_server(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One running server for the tests that only look at it."""
    path = tmp_path_factory.mktemp("server") / "home"
    with EmbeddedPostgres(path, durable=False) as running:
        yield running
    remove_server(path)


def remove_server(home: Path) -> None:
    """Stops and removes the server of a home, also where root's data fall back to."""
    for area in (home / "postgres", fallback_area(home)):
        if (area / "data").exists():
            binaries = find_binaries()
            user = ServerUser.for_data(area / "data")
            stop_leftovers(Place(area, binaries, version_of(binaries), user), print)
        shutil.rmtree(area, ignore_errors=True)


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs in sessions of their own; those still running are killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, *arguments],
            cwd=PROJECT,
            text=True,
            start_new_session=True,
            **options,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()
