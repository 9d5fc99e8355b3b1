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


def all_parts(url: str, beat_schedule: Path, *, dispatch_in_web: bool) -> tuple[Part, ...]:
    """Everything that `make run` keeps running of PayFlow itself, in the order of starting."""
    dispatcher = () if dispatch_in_web else (_dispatcher(),)
    return (_web(url), *dispatcher, _worker(), _beat(beat_schedule))


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


def _dispatcher() -> Part:
    return Part("dispatcher", manage("dispatch"), ready_line="dispatcher ready")


# Celery says that it is ready only at INFO, where it also comments on every message it handles.
_CELERY_CHATTER = (
    " ready.",
    "beat: Starting",
    "Connected to ",
    " received",
    " succeeded in ",
    "Sending due task",
)


def _celery(name: str, ready_line: str, *arguments: str) -> Part:
    command = (sys.executable, "-m", "celery", "--quiet", "-A", "payflow.celery")
    return Part(
        name,
        (*command, name, "--loglevel=INFO", *arguments),
        ready_line=ready_line,
        hidden=_CELERY_CHATTER,
        # It warns root about pickled messages, which PayFlow neither sends nor accepts.
        environment={"PYTHONWARNINGS": "ignore:You're running the worker with superuser"},
    )


def _worker() -> Part:
    pool = ("--pool=threads", "--concurrency=2")
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return _celery("worker", " ready.", *pool, *alone)


def _beat(schedule: Path) -> Part:
    return _celery("beat", "beat: Starting", f"--schedule={schedule}", "--pidfile=")
