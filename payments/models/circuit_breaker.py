"""Circuit breakers: when a processor does not answer, stop asking it for a while."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from django.db import connection, models
from django.db.models import Q

from payments import conf
from shared.postgres.naming import schema_table


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "CLOSED"
    """They do."""
    OPEN = "OPEN"
    """They do not: the processor has not answered for a while."""
    HALF_OPEN = "HALF_OPEN"
    """One may try; its outcome decides."""


class CircuitBreakerQuerySet(models.QuerySet["CircuitBreaker"]):
    """What is known of processors, and what calls tell of them."""

    def note_answers(self, processors: Iterable[str]) -> None:
        """These answered: their circuits close."""
        broken = ~Q(state=BreakerState.CLOSED) | Q(failures__gt=0)
        self.filter(broken, processor__in=sorted(set(processors))).update(
            state=BreakerState.CLOSED, failures=0, opened_at=None
        )

    def note_silence(self, processor: str, failures: int, *, now: datetime) -> None:
        """So many calls got no answer; enough of them in a row open the circuit."""
        with connection.cursor() as cursor:
            cursor.execute(
                _NOTE_SILENCE,
                {
                    "processor": processor,
                    "failures": failures,
                    "now": now,
                    "limit": conf.BREAKER_FAILURES,
                },
            )

    def closed_to(self, processors: Iterable[str], *, now: datetime) -> dict[str, bool]:
        """
        The processors whose circuit is open, each with whether one call may try now.

        Whoever is told True must try: the others wait for it.
        """
        wanted = sorted(set(processors))
        broken = self.filter(processor__in=wanted).exclude(state=BreakerState.CLOSED)
        return {breaker.processor: self._may_try(breaker.processor, now) for breaker in broken}

    def _may_try(self, processor: str, now: datetime) -> bool:
        long_ago = now - timedelta(seconds=conf.BREAKER_PAUSE_SECONDS)
        waiting = self.filter(processor=processor, opened_at__lte=long_ago)
        # `opened_at` moves on, so a try that dies with its dispatcher is followed by another.
        tried = waiting.exclude(state=BreakerState.CLOSED).update(
            state=BreakerState.HALF_OPEN, opened_at=now
        )
        return tried == 1


_NOTE_SILENCE = """
INSERT INTO payments.circuit_breaker AS breaker (processor, state, failures, opened_at)
VALUES (%(processor)s,
        CASE WHEN %(failures)s >= %(limit)s THEN 'OPEN' ELSE 'CLOSED' END, %(failures)s,
        CASE WHEN %(failures)s >= %(limit)s THEN %(now)s::timestamptz END)
ON CONFLICT (processor) DO UPDATE SET
    failures = breaker.failures + excluded.failures,
    state = CASE WHEN breaker.state <> 'CLOSED'
                   OR breaker.failures + excluded.failures >= %(limit)s
                 THEN 'OPEN' ELSE 'CLOSED' END,
    opened_at = CASE WHEN breaker.state <> 'CLOSED'
                       OR breaker.failures + excluded.failures >= %(limit)s
                     THEN %(now)s::timestamptz END
"""


class CircuitBreaker(models.Model):
    """
    How a processor answers; a row appears with its first silence.

    CLOSED until too many calls in a row got no answer, then OPEN for a pause, then HALF_OPEN for
    one call that tries. Inquiries about doubts are never held back.
    """

    processor = models.TextField(primary_key=True)
    state = models.TextField(choices=[(s, s.name) for s in BreakerState])
    failures = models.IntegerField(default=0, help_text="Calls without an answer in a row.")
    opened_at = models.DateTimeField(null=True, help_text="When it opened, or was last tried.")

    objects: ClassVar[CircuitBreakerQuerySet] = CircuitBreakerQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("payments", "circuit_breaker")
        constraints = [
            models.CheckConstraint(
                condition=Q(state="CLOSED", opened_at__isnull=True)
                | Q(state__in=["OPEN", "HALF_OPEN"], opened_at__isnull=False),
                name="circuit_breaker_open_since",
            ),
        ]

    def __str__(self) -> str:
        """Processor and state."""
        return f"{self.processor} {self.state}"
