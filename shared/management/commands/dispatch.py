"""`manage.py dispatch`: drain the event registry and run the dispatcher's outside work."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from shared.event_bus import _doorbell
from shared.event_bus.celery_tasks import send_run_intents
from shared.event_bus.dispatcher import Dispatcher


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C; start as many as you like, on as many machines."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Drain until told to stop, then finish what is under way."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        _doorbell.connect(_doorbell.for_celery(send_run_intents))
        self.stdout.write("dispatcher ready")
        self.stdout.flush()
        Dispatcher().run(stopping)
