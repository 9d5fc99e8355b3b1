"""The parts of a running PayFlow, as data: what is started, and how one sees that it is ready."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from payflow.runtime.home import PROJECT


@dataclass(frozen=True)
class Part:
    """
    One child process.

    It is ready when a line containing `ready_line` appears or `ready_url` answers 200, whichever is
    given; without either, as soon as it is started. Lines containing one of `hidden` go to its log
    file only.
    """

    name: str
    command: tuple[str, ...]
    ready_line: str = ""
    ready_url: str = ""
    ready_within_seconds: float = 90
    hidden: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def manage(*arguments: str) -> tuple[str, ...]:
    """A command of `manage.py`."""
    return (sys.executable, str(PROJECT / "manage.py"), *arguments)


def all_parts(
    url: str, beat_schedule: Path, *, dispatchers: int = 1, workers: int = 1
) -> tuple[Part, ...]:
    """
    Everything that `make run` keeps running of PayFlow itself, in the order of starting.

    No dispatchers: a thread of the web process drains.
    """
    return (
        _web(url),
        *(_dispatcher(name) for name in _names("dispatcher", dispatchers)),
        *(_worker(name) for name in _names("worker", workers)),
        _beat(beat_schedule),
    )


def _names(part: str, count: int) -> list[str]:
    return [part if number == 1 else f"{part}-{number}" for number in range(1, count + 1)]


def sandbox_part(port: int, book: Path) -> Part:
    """The sandbox, which plays the outside world; started before everybody who calls it."""
    arguments = ("--port", str(port), "--book", str(book))
    command = (sys.executable, "-m", "payflow.sandbox", *arguments)
    return Part("sandbox", command, ready_line="sandbox ready")


def _web(url: str) -> Part:
    configuration = str(Path(__file__).with_name("gunicorn.py"))
    arguments = ("payflow.runtime.wsgi:application", "-c", configuration, "--no-control-socket")
    command = (sys.executable, "-m", "gunicorn", *arguments)
    return Part("web", command, ready_url=f"{url}/api/v1/health")


def _dispatcher(name: str) -> Part:
    return Part(name, manage("dispatch"), ready_line="dispatcher ready")


# Celery says that it is ready only at INFO, where it also comments on every message it handles.
_CELERY_CHATTER = (
    " ready.",
    "beat: Starting",
    "Connected to ",
    " received",
    " succeeded in ",
    "Sending due task",
)


def _celery(name: str, role: str, ready_line: str, *arguments: str) -> Part:
    command = (sys.executable, "-m", "celery", "--quiet", "-A", "payflow.celery")
    return Part(
        name,
        (*command, role, "--loglevel=INFO", *arguments),
        ready_line=ready_line,
        hidden=_CELERY_CHATTER,
        # It warns root about pickled messages, which PayFlow neither sends nor accepts.
        environment={"PYTHONWARNINGS": "ignore:You're running the worker with superuser"},
    )


def _worker(name: str) -> Part:
    pool = ("--pool=threads", "--concurrency=2")
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return _celery(name, "worker", " ready.", *pool, *alone, f"--hostname={name}@%h")


def _beat(schedule: Path) -> Part:
    return _celery("beat", "beat", "beat: Starting", f"--schedule={schedule}", "--pidfile=")
