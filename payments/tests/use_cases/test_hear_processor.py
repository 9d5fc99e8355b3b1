"""Callbacks: whoever signs is heard, nobody is believed."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation
from payments.tests.conftest import (
    FakeProcessor,
    claimed,
    loaded,
    payment_in,
    planned,
    refusal_of,
    run,
)
from payments.use_cases.hear_processor import hear_processor
from shared import clock
from shared.event_bus import DISPATCHER, drain
from shared.identifiers import new_id

pytestmark = pytest.mark.django_db

LATER = clock.now() + timedelta(days=1)
SIGNED = {"x-fake-signature": "signed"}


def hear(operation_id: UUID | None, processor: str = "sandbox") -> None:
    body = b"" if operation_id is None else str(operation_id).encode()
    hear_processor(processor=processor, headers=SIGNED, body=body)


def waiting(**facts: Any) -> Operation:
    """An operation that is asked about tomorrow."""
    known = {"ended": 1, "outcome": "UNKNOWN", "sends": 1, "due_at": LATER}
    return claimed(planned(payment_in(PaymentStatus.PENDING)), **(known | facts))


class TestHearProcessor:
    def test_has_the_processor_asked_now(self, processor: FakeProcessor) -> None:
        operation = waiting()
        hear(operation.pk)
        drain(DISPATCHER)
        assert processor.calls == [("inquire", operation.pk)]

    def test_does_not_believe_what_it_hears(self, processor: FakeProcessor) -> None:
        operation = waiting()
        processor.is_reachable = False
        for _ in range(3):
            hear(operation.pk)
            drain(DISPATCHER)
        assert loaded(operation.payment).status == "PENDING"
        assert processor.verbs() == ["inquire"] * 3

    def test_hears_of_what_was_given_up(self, processor: FakeProcessor) -> None:
        operation = waiting(verdict="FAILED", outcome="NOT_SENT", inquiries=1, due_at=None)
        hear(operation.pk)
        drain(DISPATCHER)
        assert processor.verbs() == ["inquire"]

    def test_is_told_to_come_again_while_we_are_asking(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING))
        Operation.objects.filter(pk=operation.pk).update(attempts=0)
        heard: list[str] = []

        def call_back() -> None:
            heard.append(refusal_of(partial(hear, operation.pk)))

        # It is done after we were answered that it is not decided.
        processor.while_asked, processor.answers = call_back, [Outcome(OutcomeKind.PENDING)]
        drain(DISPATCHER)
        Operation.objects.filter(pk=operation.pk).update(due_at=LATER)
        call_back()
        drain(DISPATCHER)
        assert heard == ["operation_under_way", ""]
        assert processor.verbs() == ["authorise", "inquire"]
        assert loaded(operation.payment).status == "AUTHORISED"

    def test_changes_nothing_of_what_is_decided_or_another_processors(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        operations = [
            waiting(verdict="APPROVED", outcome="APPROVED", due_at=None),
            waiting(verdict="DECLINED", outcome="DECLINED", due_at=None),
            waiting(processor="sandbox-backup"),
        ]
        before = list(Operation.objects.order_by("pk").values())
        for operation in operations:
            hear(operation.pk)
        for nobody in (new_id(), None):
            hear(nobody)
        assert list(Operation.objects.order_by("pk").values()) == before

    def test_refuses_who_does_not_sign_or_is_not_known(self, processor: FakeProcessor) -> None:
        operation, body = waiting(), b"anything"
        unsigned: dict[str, str] = {}
        for name, headers, code in (
            ("sandbox", unsigned, "callback_refused"),
            ("sandbox", {"x-fake-signature": "forged"}, "callback_refused"),
            ("nobody", SIGNED, "processor_not_found"),
        ):
            hearing = partial(hear_processor, processor=name, headers=headers, body=body)
            assert refusal_of(hearing) == code
        operation.refresh_from_db()
        assert operation.due_at == LATER
        run()
