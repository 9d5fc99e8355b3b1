"""
Celery: what is scheduled, addressed to merchants, or heavy. Its messages carry no truth.

The embedded default is kombu's PostgreSQL transport (`pgmq://`); RabbitMQ or Redis at scale, all
by `CELERY_BROKER_URL`.
"""

import os

import django
from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
django.setup()

from django.conf import settings  # noqa: E402 - needs the settings module named above

from shared.event_bus import celery_tasks, schedule  # noqa: E402, F401
from shared.event_bus.hosting import connect_bells  # noqa: E402

SWEEP_SECONDS = 10

app = Celery("payflow", broker=settings.CELERY_BROKER_URL or "memory://", set_as_current=True)
app.conf.update(
    # Messages only say "look at your rows": losing or repeating one changes nothing, so the
    # cheapest settings are the right ones.
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue=settings.CELERY_QUEUE,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=4,
    timezone="UTC",
)
if settings.CELERY_BROKER_URL.startswith("pgmq"):
    app.conf.broker_transport_options = {
        # Said outright: pgmq would take `DATABASE_URL` from the environment before kombu's address.
        "conn_string": settings.CELERY_BROKER_URL.replace("pgmq://", "postgresql://", 1),
        "init_extension": False,
        "use_notify": True,
        "wait_time_seconds": 0,
        "visibility_timeout": 300,
    }

app.set_default()

app.conf.beat_schedule = {
    "sweep": {"task": "shared.sweep", "schedule": SWEEP_SECONDS, "options": {"expires": 60}},
    **{
        job.id: {
            "task": "shared.run_job",
            # The rhythm is the job's own; beat only ticks, and a slot runs once.
            "schedule": min(job.schedule.period.total_seconds(), 60),
            "args": [job.id],
            "options": {"expires": 60},
        }
        for job in schedule.jobs.values()
    },
}


def wake_celery(intent_id: str) -> None:
    """Ask any worker to look at an intent's rows; raises when the broker cannot be reached."""
    app.send_task("shared.run_intents", args=[intent_id], retry=False, expires=60)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _connect_bells(**_: object) -> None:
    connect_bells(wake_celery=wake_celery)
