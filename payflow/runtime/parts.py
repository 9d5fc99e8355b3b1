"""The parts of a running PayFlow, as data: what is started, and how one sees that it is ready."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from payflow.runtime import variables
from payflow.runtime.home import PROJECT

# Settings insist on these in every process of ours.
_EVERYBODYS = frozenset({"DATABASE_URL", "PAYFLOW_SECRET_KEY", "PAYFLOW_KEY_RING"})
_BROKER = frozenset({"CELERY_BROKER_URL"})
_EVENTS = frozenset({"PAYFLOW_EVENTS_URL", "PAYFLOW_EVENTS_OPTIONS"})
_PROCESSORS = frozenset(
    {"PAYFLOW_SANDBOX_SECRET", "PAYFLOW_STRIPE_SECRET_KEY", "PAYFLOW_STRIPE_WEBHOOK_SECRET"}
)
# Whoever counts may be asked for it at a port of its own.
_METRICS = frozenset({"PAYFLOW_METRICS_TOKEN"})
_WORKING = _EVERYBODYS | _BROKER | _EVENTS | _PROCESSORS | _METRICS
_FIRST_ADMIN = frozenset({"PAYFLOW_ADMIN_PASSWORD"})
_OWNER = frozenset({"DATABASE_OWNER_URL"})
_PROBED = frozenset({"REDIS_URL"})
_MAIL = frozenset({"EMAIL_HOST_PASSWORD"})

SECRETS = _WORKING | _FIRST_ADMIN | _OWNER | _PROBED | _MAIL
"""Every variable that is a secret or may hold one; a part gets those it names, and no others."""


@dataclass(frozen=True)
class Part:
    """
    One child process.

    It is ready when a line containing `ready_line` appears or `ready_url` answers 200, whichever is
    given; without either, as soon as it is started. Lines containing one of `hidden` go to its log
    file only.

    Of `SECRETS` it gets its `secrets` only. A program that is none of ours names all that it
    `reads`, and gets nothing else but what the system needs.
    """

    name: str
    command: tuple[str, ...]
    ready_line: str = ""
    ready_url: str = ""
    ready_within_seconds: float = 90
    hidden: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    reads: frozenset[str] | None = None

    def chosen_from(self, given: Mapping[str, str]) -> dict[str, str]:
        """What of these variables this part is told."""
        if self.reads is None:
            withheld = SECRETS - self.secrets
            return {name: value for name, value in given.items() if name not in withheld}
        read = {name: value for name, value in given.items() if name in self.reads}
        return variables.of_the_system(given) | read


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
    reads = {"PAYFLOW_SANDBOX_SECRET", "PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL"}
    return Part("sandbox", command, ready_line="sandbox ready", reads=frozenset(reads))


# What a step writes goes to its log, and to the screen only when it fails.
_EVERYTHING = ("",)

MIGRATE = Part(
    "migrate",
    manage("migrate", "--database=owner", "--noinput"),
    hidden=_EVERYTHING,
    secrets=_EVERYBODYS | _OWNER,
)
ENSURE_ADMIN = Part(
    "admin",
    manage("ensure_admin"),
    hidden=_EVERYTHING,
    secrets=_EVERYBODYS | _EVENTS | _OWNER | _FIRST_ADMIN,
)

# One line per request is for the log; what failed on our side is for the screen, too.
_REQUESTS = (
    "[info     ] request code=",
    "[info     ] request correlation_id=",
    '"event": "request", "level": "info"',
)


def _web(url: str) -> Part:
    configuration = str(Path(__file__).with_name("gunicorn.py"))
    arguments = ("payflow.runtime.wsgi:application", "-c", configuration, "--no-control-socket")
    command = (sys.executable, "-m", "gunicorn", *arguments)
    return Part(
        "web",
        command,
        ready_url=f"{url}/api/v1/health",
        hidden=_REQUESTS,
        secrets=_WORKING | _PROBED,
    )


def _dispatcher(name: str) -> Part:
    return Part(name, manage("dispatch"), ready_line="dispatcher ready", secrets=_WORKING)


# Celery says that it is ready only at INFO, where it also comments on every message it handles.
_CELERY_CHATTER = (
    " ready.",
    "beat: Starting",
    "Connected to ",
    " received",
    " succeeded in ",
    "Sending due task",
)


def _celery(
    name: str, role: str, *arguments: str, ready_line: str, secrets: frozenset[str]
) -> Part:
    command = (sys.executable, "-m", "celery", "--quiet", "-A", "payflow.celery")
    return Part(
        name,
        (*command, role, "--loglevel=INFO", *arguments),
        ready_line=ready_line,
        hidden=_CELERY_CHATTER,
        # It warns root about pickled messages, which PayFlow neither sends nor accepts.
        environment={"PYTHONWARNINGS": "ignore:You're running the worker with superuser"},
        secrets=secrets,
    )


def _worker(name: str) -> Part:
    pool = ("--pool=threads", "--concurrency=2")
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    named = f"--hostname={name}@%h"
    secrets = _WORKING | _MAIL
    return _celery(name, "worker", *pool, *alone, named, ready_line=" ready.", secrets=secrets)


def _beat(schedule: Path) -> Part:
    files = (f"--schedule={schedule}", "--pidfile=")
    secrets = _EVERYBODYS | _BROKER
    return _celery("beat", "beat", *files, ready_line="beat: Starting", secrets=secrets)
