"""What is registered with the bus, for whoever describes it or watches it; reads only."""

from collections.abc import Sequence
from datetime import timedelta

from shared.event_bus import retention, schedule  # noqa: F401 - retention registers its job
from shared.event_bus._registry import Intent, Listener, ids_listening_to, intents, listeners
from shared.event_bus.schedule import Job
from shared.events.base import DomainEvent

__all__ = [
    "Intent",
    "Job",
    "Listener",
    "all_intents",
    "all_jobs",
    "all_listeners",
    "hears_everything",
    "listener_ids_of",
    "rhythm",
]


def all_listeners() -> list[Listener]:
    """Every listener, by id."""
    return [entry for _, entry in sorted(listeners.items())]


def all_intents() -> list[Intent]:
    """Every kind of outside work, by id."""
    return [entry for _, entry in sorted(intents.items())]


def all_jobs() -> list[Job]:
    """Every job of the clock, by id."""
    return [job for _, job in sorted(schedule.jobs.items())]


def listener_ids_of(event: type[DomainEvent]) -> Sequence[str]:
    """The ids of the listeners that take an event, in alphabetical order."""
    return sorted(ids_listening_to(event))  # type: ignore[arg-type]


def hears_everything(entry: Listener) -> bool:
    """Whether a listener takes every event there is or will be."""
    return DomainEvent in entry.events


def rhythm(job: Job) -> str:
    """When a job runs, in words: `daily at 02:00 UTC`, `every 60 seconds`."""
    if job.schedule.period == timedelta(days=1):
        minutes = int(job.schedule.offset.total_seconds() // 60)
        return f"daily at {minutes // 60:02}:{minutes % 60:02} UTC"
    return f"every {job.schedule.period.total_seconds():g} seconds"
