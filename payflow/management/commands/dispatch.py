"""`manage.py dispatch`: drain the event registry and run the dispatcher's outside work."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from payflow.celery import wake_celery
from shared.event_bus.hosting import drain_until


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C; start as many as you like, on as many machines."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Drain until told to stop, then finish what is under way."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.stdout.write("dispatcher ready")
        self.stdout.flush()
        drain_until(stopping, wake_celery=wake_celery)
