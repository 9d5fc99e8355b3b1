"""The processor's port: what every adapter keeps, the sandbox and the tests' fake alike."""

import time

import pytest

from payments.adapters.registry import DEFAULT_PROCESSOR, processor_named
from payments.adapters.sandbox_processor import SandboxProcessor
from payments.domain.processor import Authorisation, Outcome, OutcomeKind, Processor
from payments.tests.conftest import FakeProcessor
from shared.identifiers import new_id


def request(token: str = "tok_test") -> Authorisation:
    return Authorisation(
        operation_id=new_id(), amount_minor=25_000, currency="USD", method_type="CARD", token=token
    )


class ProcessorContract:
    """What `payments.domain.processor.Processor` promises; a subclass names the adapter."""

    adapter: Processor

    def test_has_a_name(self) -> None:
        assert self.adapter.name

    def test_approves_with_a_reference(self) -> None:
        outcome = self.adapter.authorise(request())
        assert outcome.kind == OutcomeKind.APPROVED
        assert outcome.reference
        assert not outcome.reason

    def test_gives_one_operation_one_answer_however_often_it_is_sent(self) -> None:
        asked = request()
        assert len({self.adapter.authorise(asked) for _ in range(3)}) == 1

    def test_gives_two_operations_two_references(self) -> None:
        references = {self.adapter.authorise(request()).reference for _ in range(2)}
        assert len(references) == 2

    def test_says_of_an_operation_it_never_heard_of_that_it_was_not_sent(self) -> None:
        assert self.adapter.inquire(new_id()).kind == OutcomeKind.NOT_SENT

    def test_raises_for_no_token(self) -> None:
        for token in ("", "tok_declined", "x" * 100, "🧨", "'; --"):
            assert isinstance(self.adapter.authorise(request(token)), Outcome)

    def test_never_answers_an_inquiry_with_something_else_than_it_did(self) -> None:
        # Without a book "not sent" is the truth, too: nothing was held.
        asked = request()
        answered = self.adapter.authorise(asked)
        told = self.adapter.inquire(asked.operation_id)
        assert told == answered or told.kind == OutcomeKind.NOT_SENT


class TestSandboxProcessor(ProcessorContract):
    adapter = SandboxProcessor()

    @pytest.mark.parametrize(
        ("token", "reason"),
        [("tok_declined", "do_not_honor"), ("tok_insufficient_funds", "insufficient_funds")],
    )
    def test_declines_by_token(self, token: str, reason: str) -> None:
        assert self.adapter.authorise(request(token)) == Outcome(
            OutcomeKind.DECLINED, reason=reason
        )

    def test_takes_two_seconds_for_the_slow_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        monkeypatch.setattr(time, "sleep", waits.append)
        assert self.adapter.authorise(request("tok_slow")).kind == OutcomeKind.APPROVED
        assert waits == [2.0]

    def test_is_the_one_that_is_chosen(self) -> None:
        assert isinstance(processor_named(DEFAULT_PROCESSOR), SandboxProcessor)


class TestFakeProcessor(ProcessorContract):
    adapter = FakeProcessor()

    def test_holds_once_however_often_it_is_sent(self) -> None:
        fake, asked = FakeProcessor(), request()
        for _ in range(3):
            fake.authorise(asked)
        assert list(fake.book) == [asked.operation_id]

    def test_holds_nothing_when_it_cannot_be_reached(self) -> None:
        fake, asked = FakeProcessor(), request()
        fake.is_reachable = False
        assert fake.authorise(asked).kind == OutcomeKind.NOT_SENT
        assert fake.inquire(asked.operation_id).kind == OutcomeKind.UNKNOWN
        assert fake.book == {}
