"""Calling a processor, outside any transaction."""

from payments.adapters.registry import processor_named
from payments.domain.processor import Authorisation, Outcome
from payments.models import Operation


def call_processor(*, operation: Operation) -> Outcome:
    """
    Carry out an operation with its processor and return what became of it.

    An operation whose outcome is in doubt is asked about, never simply sent again. Touches no row.
    """
    processor = processor_named(operation.processor)
    if operation.was_inquiry:
        return processor.inquire(operation.pk)
    return processor.authorise(
        Authorisation(
            operation_id=operation.pk,
            amount_minor=operation.amount_minor,
            currency=operation.currency,
            method_type=operation.method_type,
            token=operation.method_token,
        )
    )
