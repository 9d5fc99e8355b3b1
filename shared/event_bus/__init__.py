"""
The event bus: how modules tell each other what happened, and how outside work gets done.

    publish(event)                     in a transaction, with which the event commits
    @listener("module.do_something")     a module's reaction, in listeners.py
    @intent("module.operation", …)   a module's rows of outside work, in tasks.py
    @scheduled("module.purge", …)   a module's job for the clock, in tasks.py
    wake("module.operation")         rows of an intent were written: wake its runner
    drain()                            do everything that is due, inline

What is promised stands in the docstrings of these words; `docs/adr/0003-event-bus.md` has the
reasons. Files with a leading underscore are private to this package.
"""

from shared.event_bus._doorbell import wake
from shared.event_bus._publish import PublishedOutsideTransaction, publish
from shared.event_bus._registry import CELERY, DISPATCHER, QUICK_TRIES, intent, listener
from shared.event_bus.dispatcher import drain
from shared.event_bus.schedule import daily, every, scheduled

__all__ = [
    "CELERY",
    "DISPATCHER",
    "QUICK_TRIES",
    "PublishedOutsideTransaction",
    "daily",
    "drain",
    "every",
    "intent",
    "listener",
    "publish",
    "scheduled",
    "wake",
]
