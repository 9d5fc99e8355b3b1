"""Resolutions: two people say what became of an operation when its processor cannot."""

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from payments.models.operation import Operation
from payments.models.operation_table import Verdict
from shared.identifiers import new_id
from shared.models import Proposal
from shared.postgres.naming import schema_table


class Resolution(Proposal):
    """
    A proposal that an operation in doubt was done (APPROVED) or was not (FAILED).

    One at a time per operation. Confirmed by a second person, it takes effect as the processor's
    own answer would.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="resolutions")
    verdict = models.TextField(choices=[(v, v.name) for v in (Verdict.APPROVED, Verdict.FAILED)])
    processor_reference = models.TextField(
        default="", blank=True, help_text="The processor's name of an authorisation that was done."
    )

    append_only: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    class Meta(Proposal.Meta):
        db_table = schema_table("payments", "resolution")
        constraints = [
            *Proposal.Meta.constraints,
            models.CheckConstraint(
                condition=Q(verdict__in=["APPROVED", "FAILED"]),
                name="resolution_verdict_is_known",
            ),
            models.UniqueConstraint(
                fields=["operation"], condition=Q(state="OPEN"), name="resolution_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        """What is proposed, and where that stands."""
        return f"{self.verdict} for {self.operation_id}: {self.state}"

    # Factories

    @classmethod
    def propose(cls, operation: Operation, *, by: str, now: datetime, **facts: Any) -> "Resolution":
        """Store a proposal for a second person. Raises: IntegrityError if one is open."""
        resolution = cls(operation=operation, proposed_by=by, proposed_at=now, **facts)
        resolution.save(force_insert=True)
        return resolution

    # Mutators

    def keep_decision(self) -> None:
        """Store what `confirm` or `reject` decided."""
        self.save(update_fields=["state", "decided_by", "decided_at"])
