"""
Celery: what is scheduled, addressed to merchants, or heavy. Its messages carry no truth.

The embedded default is kombu's PostgreSQL transport (`pgmq://`); RabbitMQ or Redis at scale, all
by `CELERY_BROKER_URL`. Why every setting is as it is: docs/adr/0016-brokers.md.
"""

import os
from functools import partial
from typing import Any

import django
import structlog
from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_after_setup,
    task_received,
    worker_ready,
    worker_shutting_down,
)
from celery.worker import state
from kombu.common import maybe_declare
from kombu.transport.virtual import Channel as VirtualChannel

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
django.setup()

from django.conf import settings  # noqa: E402 - needs the settings module named above
from django.core.exceptions import ImproperlyConfigured  # noqa: E402

from payflow import brokers, pgmq_transport, scraping  # noqa: E402
from payflow.roles import refuse_to_serve_as_owner  # noqa: E402
from shared.event_bus import celery_tasks, schedule  # noqa: E402
from shared.event_bus.hosting import connect_bells  # noqa: E402
from shared.event_bus.watchdog import (  # noqa: E402
    Slot,
    Watchdog,
    Worker,
    look_around_now_and_then,
)

pgmq_transport.register()
log = structlog.get_logger(__name__)

SWEEP_SECONDS = 10
BELLS = settings.CELERY_QUEUE
CLOCK = f"{BELLS}_clock"
"""What beat sends has a queue of its own, so that no flood of bells delays it."""


class DoorbellCelery(Celery):  # type: ignore[misc]
    """Celery for messages that say "look at your rows": bounded in time and in number."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Send a message, unless so many wait that it would say nothing new."""
        queue = options.get("queue") or (CLOCK if name in _OF_THE_CLOCK else BELLS)
        if self._is_full(queue):
            return None
        options.setdefault("confirm_timeout", brokers.CONNECT_SECONDS)
        return super().send_task(name, *args, **options)

    def _is_full(self, queue: str) -> bool:
        # RabbitMQ bounds its queues itself; the others have to be looked at.
        with self.connection_or_acquire() as connection:
            channel = connection.default_channel
            if not isinstance(channel, VirtualChannel):
                return False
            maybe_declare(self.amqp.queues[queue], channel)
            waiting: int = channel._size(queue)
            return waiting >= brokers.LONGEST_QUEUE


_OF_THE_CLOCK = frozenset({"shared.run_job", "shared.sweep"})

app = DoorbellCelery(
    "payflow", broker=settings.CELERY_BROKER_URL or "memory://", set_as_current=True
)
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_queues=[brokers.queue(name, exchange=BELLS) for name in (BELLS, CLOCK)],
    task_default_queue=BELLS,
    task_default_exchange=BELLS,
    task_default_routing_key=BELLS,
    task_default_delivery_mode="transient",
    task_create_missing_queues=False,
    task_routes={name: {"queue": CLOCK} for name in _OF_THE_CLOCK},
    # Before the run: a message that comes back finds rows that are leased to whoever died.
    task_acks_late=False,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    worker_prefetch_multiplier=1,
    worker_enable_prefetch_count_reduction=False,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    broker_connection_timeout=brokers.CONNECT_SECONDS,
    broker_heartbeat=20,
    broker_pool_acquire_timeout=brokers.CONNECT_SECONDS,
    broker_transport_options=brokers.options(settings.CELERY_BROKER_URL),
    timezone="UTC",
)
app.set_default()

app.conf.beat_schedule = {
    "sweep": {"task": "shared.sweep", "schedule": SWEEP_SECONDS},
    **{
        job.id: {
            "task": "shared.run_job",
            # The rhythm is the job's own; beat only ticks, and a slot runs once.
            "schedule": min(job.schedule.period.total_seconds(), 60),
            "args": [job.id],
        }
        for job in schedule.jobs.values()
    },
}


def wake_celery(intent_id: str) -> None:
    """Ask any worker to look at an intent's rows; raises when the broker cannot be reached."""
    app.send_task("shared.run_intents", args=[intent_id])


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def _refuse_to_serve_as_owner(**_: object) -> None:
    try:
        refuse_to_serve_as_owner()
    except ImproperlyConfigured as wrong:
        # Celery logs exceptions of its signals and goes on; this one it lets through.
        raise SystemExit(f"Wrongly configured: {wrong}") from None


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _listen_to_a_queue_of_our_own(**_: object) -> None:
    # Before the consumer starts: it listens to this queue as it does to the others, on the same
    # connection, so what holds for one holds for all. Looking around needs no broker at all.
    look_around_now_and_then(patience_seconds=settings.CELERY_PATIENCE_SECONDS)
    slot = Slot()
    own = f"{BELLS}_ping_{slot.number}"
    app.amqp.queues.select_add(brokers.queue(own, exchange=BELLS))
    worker_ready.connect(partial(_start_watchdog, slot, own), weak=False)


def _start_watchdog(slot: Slot, own_queue: str, sender: Any, **_: object) -> None:
    watchdog = Watchdog(
        Worker(
            ping=partial(app.send_task, "shared.ping", queue=own_queue),
            has_room=lambda: len(state.reserved_requests) < sender.initial_prefetch_count,
            is_connected=lambda: sender.connection is not None,
            stop=partial(setattr, state, "should_stop", os.EX_SOFTWARE),
        ),
        slot,
        patience_seconds=settings.CELERY_PATIENCE_SECONDS,
    )
    task_received.connect(watchdog.heard, weak=False)
    watchdog.start()


@worker_ready.connect  # type: ignore[untyped-decorator]
def _connect_bells(**_: object) -> None:
    connect_bells(wake_celery=wake_celery)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _serve_metrics(**_: object) -> None:
    if not settings.METRICS_PORT:
        return
    try:
        scraping.serve(settings.METRICS_ADDRESS, settings.METRICS_PORT)
    except (OSError, OverflowError) as error:
        # A dispatcher beside it has the port, and tells what both count.
        log.warning("metrics are not served", port=settings.METRICS_PORT, reason=str(error))


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop_after_the_row_under_way(**_: object) -> None:
    celery_tasks.stopping.set()
