"""Events as their publishers send them, and the bus between two tests' lines."""

from typing import Any, TypeVar

from django.db import connection

from shared import clock, db
from shared.event_bus import publish
from shared.events.base import DomainEvent, business_fields
from shared.identifiers import new_id
from shared.models import Event, Publication

Contract = TypeVar("Contract", bound=DomainEvent)

_EXAMPLES: dict[str, Any] = {
    "action": "fraud.review.approve",
    "actor": "olga",
    "amount_minor": 25_000,
    "api_key_expires_at": "2026-09-01T00:00:00.000000Z",
    "api_key_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b13",
    "api_key_prefix": "pk_test_abcdef",
    "capture_before": "2026-06-08T00:00:00.000000Z",
    "captured_amount_minor": 10_000,
    "cause_event_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b14",
    "channel": "email",
    "currency": "USD",
    "days_left": 14,
    "decision": "APPROVE",
    "entry_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b12",
    "entry_type": "AUTH",
    "instrument_fingerprint": "",
    "is_final": True,
    "merchant_email": "till@example.com",
    "merchant_name": "Acme Corp",
    "operation_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b15",
    "payee_account_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11",
    "payment_method_token": "tok_test",
    "payment_method_type": "CARD",
    "previous_email": "old@example.com",
    "previous_key_expires_at": "2026-06-02T00:00:00.000000Z",
    "previous_key_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b17",
    "previous_key_prefix": "pk_test_fedcba",
    "processor": "sandbox",
    "processor_reference": "sbx_1",
    "reason": "do_not_honor",
    "refund_amount_minor": 5_000,
    "refund_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b16",
    "refunded_amount_minor": 5_000,
    "released_amount_minor": 15_000,
    "risk_score": 0,
    "rules": (),
    "score": 100,
    "signed_with_id": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b17",
    "signed_with_prefix": "pk_test_fedcba",
    "subject": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11",
    "template": "payment_authorised",
    "total_captured_amount_minor": 10_000,
    "total_refunded_amount_minor": 5_000,
}


def example(contract: type[Contract], **changes: Any) -> Contract:
    """An event of a story of its own: 250.00 USD of Acme Corp, unless changed."""
    subject_id = changes.pop("subject_id", None) or str(new_id())
    base = {
        "correlation_id": str(new_id()),
        "subject_id": subject_id,
        "merchant_id": str(new_id()),
        "occurred_at": clock.iso(clock.now()),
    }
    # An event about a payment is about its subject, unless the test says otherwise.
    examples = _EXAMPLES | {"payment_id": subject_id}
    business = {name: examples[name] for name in business_fields(contract)}  # type: ignore[arg-type]
    return contract(**(base | business | changes))


def publish_committed(*events: DomainEvent) -> None:
    """Publish in a transaction of its own."""
    with db.transaction():
        publish(*events)


def publish_again(listener_id: str, event_type: str) -> int:
    """Give a listener all events of a type once more, as if it had never had them; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shared.publication (event_id, listener_id, correlation_id)"
            " SELECT sequence, %s, correlation_id FROM shared.event WHERE event_type = %s",
            [listener_id, event_type],
        )
        return int(cursor.rowcount)


def failed(listener_id: str) -> list[str]:
    """The subjects of the events that a listener could not take."""
    rows = Publication.objects.filter(listener_id=listener_id, failures__gt=0)
    numbers = rows.values_list("event_id", flat=True)
    found = Event.objects.filter(sequence__in=list(numbers)).order_by("sequence")
    return [str(subject_id) for subject_id in found.values_list("subject_id", flat=True)]


def told(event_type: str) -> list[dict[str, Any]]:
    """The payloads of the events of a type, in the order in which they were published."""
    rows = Event.objects.filter(event_type=event_type).order_by("sequence")
    return list(rows.values_list("payload", flat=True))
