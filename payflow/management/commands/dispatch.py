"""`manage.py dispatch`: drain the event registry and run the dispatcher's outside work."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow.celery import wake_celery
from shared import metrics
from shared.event_bus.hosting import drain_until


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C; start as many as you like, on as many machines."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where to serve metrics."""
        parser.add_argument(
            "--metrics-port",
            type=int,
            default=settings.METRICS_PORT,
            metavar="PORT",
            help="serve what this process counts to Prometheus; 0: do not (default: %(default)s)",
        )
        parser.add_argument(
            "--metrics-address",
            default=settings.METRICS_ADDRESS,
            metavar="ADDRESS",
            help="where to listen for that (default: %(default)s)",
        )

    def handle(self, *args: Any, metrics_port: int, metrics_address: str, **options: Any) -> None:
        """Drain until told to stop, then finish what is under way."""
        if metrics_port:
            _serve_metrics(metrics_address, metrics_port)
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.stdout.write("dispatcher ready")
        self.stdout.flush()
        drain_until(stopping, wake_celery=wake_celery)


def _serve_metrics(address: str, port: int) -> None:
    try:
        metrics.serve(address, port)
    except (OSError, OverflowError) as error:
        raise CommandError(f"Metrics cannot be served at {address}:{port}: {error}.") from None
