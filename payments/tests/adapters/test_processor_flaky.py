"""A rail on which much goes wrong: what we know still equals the processor's own book."""

from payments.domain.processor import Instruction, Outcome, OutcomeKind
from payments.tests.adapters.conftest import Sandbox
from payments.tests.adapters.rails import APPROVED, Rail


class TestFlakyRail:
    """Nearly a third of all sends go wrong somehow; our knowledge still equals the book."""

    operations = 60

    def test_asking_before_sending_again_charges_each_once(
        self, rail: Rail, fresh_sandbox: Sandbox
    ) -> None:
        wanted = [rail.wanted("flaky") for _ in range(self.operations)]
        outcomes = [_persist(rail, one) for one in wanted]
        assert {outcome.kind for outcome in outcomes} == {APPROVED}
        booked = [fresh_sandbox.approved(one.operation_id) for one in wanted]
        assert [len(lines) for lines in booked] == [1] * self.operations

    def test_taking_a_doubt_for_a_failure_charges_some_twice(
        self, rail: Rail, fresh_sandbox: Sandbox
    ) -> None:
        # The naive twin: what has no good answer failed, and is tried again as something new.
        charges = 0
        for _ in range(self.operations):
            for _ in range(20):
                wanted = rail.wanted("flaky")
                outcome = rail.send(wanted)
                charges += len(fresh_sandbox.approved(wanted.operation_id))
                if outcome.kind == APPROVED:
                    break
        assert charges > self.operations


def _persist(rail: Rail, wanted: Instruction) -> Outcome:
    outcome = rail.send(wanted)
    for _ in range(100):
        if outcome.kind == OutcomeKind.UNKNOWN:
            outcome = rail.ask(wanted)
        elif outcome.kind == OutcomeKind.NOT_SENT:
            outcome = rail.send(wanted)
        else:
            return outcome
    raise AssertionError(outcome)
