"""Hearing from a processor that something became of an operation."""

from collections.abc import Mapping

from payments.adapters.registry import processor_named, processor_names
from payments.domain.processor import CallbackNotAuthentic
from payments.models import Operation
from shared import db
from shared.errors import Conflict, DomainError, NotFound
from shared.event_bus import wake


class CallbackRefused(DomainError):
    """The callback is not signed as this processor signs."""

    status = 401


class ProcessorNotFound(NotFound):
    """There is no such processor."""


class OperationUnderWay(Conflict):
    """We are asking about this very operation; tell us again in a moment."""


def hear_processor(*, processor: str, headers: Mapping[str, str], body: bytes) -> None:
    """
    Ask the processor about the operation its callback names, now instead of later.

    The callback itself moves no money: it may be late, repeated or out of order. `headers` have
    lower-case names.

    Raises:
        ProcessorNotFound, CallbackRefused.
        OperationUnderWay: what is being asked just now may be older than the callback.

    """
    if processor not in processor_names():
        raise ProcessorNotFound
    try:
        operation_id = processor_named(processor).read_callback(headers, body)
    except CallbackNotAuthentic:
        raise CallbackRefused from None
    if operation_id is None:
        return
    with db.transaction():
        if Operation.objects.make_due(operation_id, processor):
            wake("payments.operation")
        elif Operation.objects.is_under_way(operation_id, processor):
            raise OperationUnderWay
