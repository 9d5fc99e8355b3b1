"""
Rows of the machinery: the event registry, idempotency records, scheduled runs, rate limits.

Business rows live in the modules. Rows here are written by the machinery only; operators steer
them through `manage.py events` and the admin's actions.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from django.db import OperationalError, connection, models
from django.db.models import F, Q
from django.db.models.functions import Now

from shared.db import sqlstate
from shared.errors import Conflict, NotAllowed
from shared.postgres.naming import schema_table


class Outstanding(models.Model):
    """
    Work that is still to be done, with the one retry mechanism of the product.

    A claim counts an attempt and moves `due_at` ahead: that is the lease. The number of attempts
    is the fence: whoever finishes must still find the number it claimed with. A row that is due
    again after its work was recorded remembers in `ended` which claim that was: claims beyond it
    went without an end. `due_at` is empty once nothing is left to do, or while the row is parked
    for an operator.
    """

    correlation_id = models.UUIDField()
    attempts = models.IntegerField(db_default=0, help_text="Claims so far; the fence.")
    ended = models.IntegerField(db_default=0, help_text="Claims up to the last that ended.")
    failures = models.SmallIntegerField(db_default=0, help_text="Failures so far; five park.")
    due_at = models.DateTimeField(null=True, db_default=Now(), help_text="Empty: nothing to do.")
    parked_at = models.DateTimeField(null=True, help_text="Waits for an operator since.")
    last_error = models.TextField(db_default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True

    # Properties

    @property
    def is_parked(self) -> bool:
        """Whether it waits for an operator."""
        return self.parked_at is not None


class AlreadyDecided(Conflict):
    """This proposal was confirmed or rejected before."""


class TakesTwoPeople(NotAllowed):
    """Whoever proposed this cannot confirm it: somebody else must look."""


class ProposalState(StrEnum):
    """What became of a proposal."""

    OPEN = "OPEN"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"


class Proposal(models.Model):
    """
    A change that one person proposes, with a reason, and another confirms or anybody rejects.

    Confirming and doing it is one transaction of the owning module's use case.
    """

    state = models.TextField(choices=[(s, s.name) for s in ProposalState], default="OPEN")
    reason = models.TextField()
    proposed_by = models.TextField()
    proposed_at = models.DateTimeField()
    decided_by = models.TextField(default="", blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ProposalState]),
                name="%(class)s_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state="OPEN", decided_by="", decided_at__isnull=True)
                | (~Q(state="OPEN") & ~Q(decided_by="") & Q(decided_at__isnull=False)),
                name="%(class)s_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="CONFIRMED", decided_by=F("proposed_by")),
                name="%(class)s_takes_two_people",
            ),
        ]

    # Mutators

    def confirm(self, *, by: str, now: datetime) -> None:
        """Agree. Raises: TakesTwoPeople for whoever proposed it, AlreadyDecided."""
        if by == self.proposed_by:
            raise TakesTwoPeople
        self._decide(ProposalState.CONFIRMED, by, now)

    def reject(self, *, by: str, now: datetime) -> None:
        """Turn it down; its author may, too. Raises: AlreadyDecided."""
        self._decide(ProposalState.REJECTED, by, now)

    # Properties

    @property
    def is_open(self) -> bool:
        """Whether it waits for a second person."""
        return self.state == ProposalState.OPEN

    def _decide(self, state: ProposalState, by: str, now: datetime) -> None:
        if not self.is_open:
            raise AlreadyDecided
        self.state, self.decided_by, self.decided_at = state, by, now


class Event(models.Model):
    """
    A fact as it was published, in the order of `sequence`.

    Append-only until the purge: 30 days after it was published, and with no publication left, it
    is deleted. The permanent trail is the audit record.
    """

    sequence = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    event_type = models.TextField()
    version = models.SmallIntegerField()
    correlation_id = models.UUIDField()
    subject_id = models.UUIDField()
    merchant_id = models.UUIDField(null=True)
    occurred_at = models.DateTimeField()
    payload = models.JSONField()
    published_at = models.DateTimeField(db_default=Now())

    append_only: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    class Meta:
        db_table = schema_table("shared", "event")
        constraints = [
            models.UniqueConstraint(fields=["event_id"], name="event_id_is_unique"),
        ]
        indexes = [
            models.Index(fields=["correlation_id", "sequence"], name="event_by_story"),
            models.Index(fields=["published_at"], name="event_by_publication_time"),
        ]

    def __str__(self) -> str:
        """Type and sequence."""
        return f"{self.event_type}.v{self.version} #{self.sequence}"


class Publication(Outstanding):
    """
    What one listener still has to do about one event.

    Written with the event, deleted with the listener's effect. The oldest publication of a
    (listener, correlation id) is its head; only heads are claimed, so a story's events reach each
    listener in order.
    """

    id = models.BigAutoField(primary_key=True)
    # No database constraint: both rows are written by one statement and the purge keeps events
    # that still have a publication, so the check would cost an index and prove nothing new.
    event = models.ForeignKey(
        Event, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    listener_id = models.TextField()

    class Meta:
        db_table = schema_table("shared", "publication")
        constraints = [
            models.UniqueConstraint(
                fields=["listener_id", "correlation_id", "event"],
                name="publication_once_per_listener",
            ),
        ]
        indexes = [
            models.Index(
                fields=["listener_id", "due_at"],
                name="publication_due",
                condition=models.Q(due_at__isnull=False, attempts=0),
            ),
            models.Index(
                fields=["due_at"],
                name="publication_claimed_before",
                condition=models.Q(due_at__isnull=False, attempts__gt=0),
            ),
            models.Index(
                fields=["parked_at"],
                name="publication_parked",
                condition=models.Q(parked_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        """Listener and event."""
        return f"{self.listener_id} ← #{self.event_id}"


class IdempotencyKeyInUse(Conflict):
    """The first request with this idempotency key is still being accepted; try again."""


class KeyUsedElsewhere(Conflict):
    """This key was used for a request of another kind."""


class IdempotencyRecordQuerySet(models.QuerySet["IdempotencyRecord"]):
    """Burning keys: claiming them for nothing, so that no request can use them any more."""

    def burn(self, merchant_id: UUID, key: str) -> bool:
        """
        Claim a key for nothing, for ever; waits for a request under way. True if it was free.

        Raises:
            IdempotencyKeyInUse: that request takes too long.

        """
        try:
            with connection.cursor() as cursor:
                cursor.execute(_BURN, [merchant_id, key])
                return bool(cursor.rowcount == 1)
        except OperationalError as error:
            if sqlstate(error) == "55P03":
                raise IdempotencyKeyInUse from None
            raise

    def unburn(self, merchant_id: UUID, key: str) -> None:
        """Undo `burn` in its transaction."""
        self.filter(merchant_id=merchant_id, key=key, fingerprint=BURNT).delete()

    def expect_burnt(self, merchant_id: UUID, key: str) -> None:
        """Raises: KeyUsedElsewhere unless the key is burnt."""
        if not self.filter(merchant_id=merchant_id, key=key, fingerprint=BURNT).exists():
            raise KeyUsedElsewhere


BURNT = b""
"""The fingerprint that no request has."""
_BURN = """
INSERT INTO shared.idempotency_record (merchant_id, key, fingerprint, expires_at)
VALUES (%s, %s, '', '9999-12-31T00:00:00Z') ON CONFLICT (merchant_id, key) DO NOTHING
"""


class IdempotencyRecord(models.Model):
    """
    That a key was used, by whom, for what, and the bytes that were answered.

    `response` is sealed (it may show a secret), written once, and empty until there is a decision;
    `subject_id` is what the first request created, so that repeats can look at it.
    """

    id = models.BigAutoField(primary_key=True)
    merchant_id = models.UUIDField()
    key = models.TextField()
    fingerprint = models.BinaryField()
    subject_id = models.UUIDField(null=True)
    status = models.SmallIntegerField(null=True)
    response = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    objects = IdempotencyRecordQuerySet.as_manager()

    class Meta:
        db_table = schema_table("shared", "idempotency_record")
        constraints = [
            models.UniqueConstraint(
                fields=["merchant_id", "key"], name="idempotency_key_used_once"
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_record_expiry")]

    def __str__(self) -> str:
        """Merchant and key."""
        return f"{self.merchant_id} {self.key}"


class ScheduledRun(models.Model):
    """
    That a scheduled job was begun for a slot of time, and that it was done.

    Two schedulers have the effect of one. Without `finished_at` the job is under way, or its
    process died and the next tick begins it again.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.TextField()
    scheduled_at = models.DateTimeField()
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = schema_table("shared", "scheduled_run")
        constraints = [
            models.UniqueConstraint(
                fields=["job", "scheduled_at"], name="scheduled_run_once_per_slot"
            ),
        ]

    def __str__(self) -> str:
        """Job and slot."""
        return f"{self.job} @ {self.scheduled_at:%Y-%m-%d %H:%M:%S}"


class RateBucket(models.Model):
    """A token bucket: how many requests a caller has left, refilled as time passes."""

    bucket = models.TextField(primary_key=True)
    tokens = models.FloatField()
    refilled_at = models.DateTimeField()

    class Meta:
        db_table = schema_table("shared", "rate_bucket")

    def __str__(self) -> str:
        """The bucket's name."""
        return self.bucket
