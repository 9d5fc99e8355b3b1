"""What any door of an operator publishes: the admin's actions and the operators' commands."""

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import DomainEvent


@dataclass(frozen=True, kw_only=True)
class OperatorActionTaken(DomainEvent):
    """
    Published when a person with operator rights did something, together with what it did.

    `action` is a verb of the product (`fraud.review.approve`), `subject` what it was done to,
    `reason` the operator's own words.
    """

    event_type: ClassVar[str] = "Operator.Action.Taken"

    actor: str
    action: str
    subject: str
    reason: str
