"""
What a process does for the bus: every process rings, and some drain.

Called once by the entry points of processes (web, `manage.py dispatch`, Celery workers), never by
modules. Until a process is connected, ringing does nothing.
"""

import threading
from collections.abc import Callable

from shared.event_bus import _doorbell
from shared.event_bus.dispatcher import Dispatcher

SendTask = Callable[[str], None]


def connect_bells(*, wake_celery: SendTask) -> None:
    """Let the commits of this process wake dispatchers and Celery, wherever they are."""
    _doorbell.connect(_doorbell.for_dispatchers())
    _doorbell.connect(_doorbell.for_celery(wake_celery))


def drain_until(stopping: threading.Event, *, wake_celery: SendTask) -> None:
    """Be a dispatcher until `stopping` is set; this process needs no bell to wake itself."""
    _doorbell.connect(_doorbell.for_celery(wake_celery))
    Dispatcher().run(stopping)


def drain_in_background(*, wake_celery: SendTask) -> threading.Thread:
    """Be a dispatcher in a thread of a process that serves requests, too, until it ends."""
    arguments = {"stopping": threading.Event(), "wake_celery": wake_celery}
    thread = threading.Thread(target=drain_until, kwargs=arguments, name="dispatcher", daemon=True)
    thread.start()
    return thread
