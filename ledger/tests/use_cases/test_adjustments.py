"""Adjustments: proposed by one person, confirmed by another, once; or rejected."""

from functools import partial
from uuid import UUID

import pytest

from ledger.domain.posting_rules import PLATFORM, AccountKey, AccountKind, Correction
from ledger.models import (
    Account,
    AccountOwnerUnknown,
    Adjustment,
    AdjustmentMovesNothing,
    JournalEntry,
)
from ledger.queries import AdjustmentNotFound, Balance, find_imbalances, list_balances
from ledger.tests.conftest import ACME, NOW, Story, balances, post
from ledger.use_cases.confirm_adjustment import confirm_adjustment
from ledger.use_cases.propose_adjustment import propose_adjustment
from ledger.use_cases.reject_adjustment import reject_adjustment
from shared.errors import DomainError
from shared.event_bus.operating import ReasonRequired
from shared.identifiers import new_id
from shared.models import AlreadyDecided, TakesTwoPeople
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

PAYABLE = AccountKey(AccountKind.MERCHANT_PAYABLE, ACME, "USD")
FEES = AccountKey(AccountKind.PLATFORM_FEES, PLATFORM, "USD")


@pytest.fixture(autouse=True)
def story() -> Story:
    """A captured payment of 1.00 USD, so that Acme is known and has something."""
    story = Story(amount_minor=100)
    post(story.authorised(), story.captured(100))
    return story


def propose(
    debit: AccountKey = PAYABLE,
    credit: AccountKey = FEES,
    minor: int = 30,
    story_id: UUID | None = None,
    reason: str = "a fee that was forgotten",
) -> Adjustment:
    correction = Correction(debit, credit, minor, story_id)
    return propose_adjustment(correction=correction, actor="ana", reason=reason, now=NOW)


def confirm(adjustment: Adjustment, actor: str = "ben", reason: str = "I agree") -> JournalEntry:
    return confirm_adjustment(adjustment_id=adjustment.pk, actor=actor, reason=reason, now=NOW)


def reject(adjustment: Adjustment, actor: str = "ben", reason: str = "no") -> None:
    reject_adjustment(adjustment_id=adjustment.pk, actor=actor, reason=reason, now=NOW)


def actions() -> list[tuple[str, str, str]]:
    taken = told("Operator.Action.Taken")
    return [(action["action"], action["actor"], action["reason"]) for action in taken]


class TestProposeAdjustment:
    def test_moves_nothing_yet_and_is_audited(self) -> None:
        before = balances()
        adjustment = propose()
        assert adjustment.is_open
        assert balances() == before
        assert actions() == [("ledger.adjustment.propose", "ana", "a fee that was forgotten")]

    @pytest.mark.parametrize(
        ("debit", "credit"),
        [(PAYABLE, PAYABLE), (PAYABLE, AccountKey(AccountKind.PLATFORM_FEES, PLATFORM, "EUR"))],
    )
    def test_refuses_what_moves_nothing(self, debit: AccountKey, credit: AccountKey) -> None:
        with pytest.raises(AdjustmentMovesNothing):
            propose(debit, credit)
        assert not Adjustment.objects.exists()

    @pytest.mark.parametrize(
        ("kind", "owner"),
        [
            (AccountKind.MERCHANT_PAYABLE, "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b00"),
            (AccountKind.MERCHANT_PAYABLE, "sandbox"),
            (AccountKind.PROCESSOR_FEES, "sandbax"),
            (AccountKind.PROCESSOR_RECEIVABLE, ACME),
            (AccountKind.BANK, ACME),
            (AccountKind.PLATFORM_FEES, ""),
        ],
    )
    def test_refuses_owners_it_does_not_know(self, kind: AccountKind, owner: str) -> None:
        unknown = AccountKey(kind, owner, "USD")
        for pair in ((unknown, FEES), (PAYABLE, unknown)):
            with pytest.raises(AccountOwnerUnknown):
                propose(*pair)
        assert not Adjustment.objects.exists()

    def test_needs_a_reason(self) -> None:
        with pytest.raises(ReasonRequired):
            propose(reason=" ")
        assert not Adjustment.objects.exists()


class TestConfirmAdjustment:
    def test_posts_the_entry_tells_and_is_audited(self, story: Story) -> None:
        adjustment = propose(story_id=UUID(story.correlation_id))
        entry = confirm(adjustment)
        assert (entry.entry_type, entry.event_id, entry.amount_minor) == (
            "ADJUSTMENT",
            adjustment.pk,
            30,
        )
        assert story.entries()[-1] == entry
        assert list_balances(UUID(ACME)) == [Balance("USD", 0, 70)]
        assert balances()["platform_fees:platform:USD"] == -30
        assert told("Ledger.Entry.Posted")[-1]["entry_id"] == str(entry.pk)
        assert actions()[1:] == [("ledger.adjustment.confirm", "ben", "I agree")]
        adjustment.refresh_from_db()
        assert (adjustment.state, adjustment.decided_by) == ("CONFIRMED", "ben")
        assert find_imbalances() == []

    def test_is_a_story_of_its_own_unless_it_names_one(self) -> None:
        adjustment = propose()
        assert confirm(adjustment).correlation_id == adjustment.pk

    def test_opens_an_account_that_was_never_moved(self) -> None:
        bank = AccountKey(AccountKind.BANK, PLATFORM, "USD")
        confirm(propose(bank, AccountKey(AccountKind.PROCESSOR_RECEIVABLE, "sandbox", "USD"), 100))
        assert Account.objects.get(kind=AccountKind.BANK).balance_minor == 100

    def test_takes_two_people(self) -> None:
        adjustment = propose()
        before = balances(), actions()
        with pytest.raises(TakesTwoPeople):
            confirm(adjustment, actor="ana")
        assert (balances(), actions()) == before
        confirm(adjustment)

    def test_needs_a_reason(self) -> None:
        adjustment = propose()
        before = balances()
        with pytest.raises(ReasonRequired):
            confirm(adjustment, reason="")
        adjustment.refresh_from_db()
        assert adjustment.is_open
        assert balances() == before

    def test_of_what_is_decided_is_refused(self) -> None:
        confirmed, rejected = propose(), propose()
        confirm(confirmed)
        reject(rejected)
        before = balances()
        for adjustment in (confirmed, rejected):
            for decide in (confirm, reject):
                with pytest.raises(AlreadyDecided):
                    decide(adjustment, actor="cyd")
        assert balances() == before

    def test_by_many_at_once_posts_once(self) -> None:
        adjustment = propose()

        def attempt(person: str) -> str:
            try:
                return str(confirm(adjustment, actor=person).entry_type)
            except DomainError as refusal:
                return refusal.code

        outcomes = race([partial(attempt, f"person-{number}") for number in range(8)])
        assert sorted(outcomes) == ["ADJUSTMENT", *["already_decided"] * 7]
        assert balances()["platform_fees:platform:USD"] == -30
        assert find_imbalances() == []

    def test_of_nothing_is_refused(self) -> None:
        for decide in (confirm, reject):
            with pytest.raises(AdjustmentNotFound):
                decide(Adjustment(pk=new_id()))


class TestRejectAdjustment:
    def test_posts_nothing_and_is_audited(self) -> None:
        before = balances()
        reject(propose())
        assert balances() == before
        assert actions()[1:] == [("ledger.adjustment.reject", "ben", "no")]

    def test_takes_back_ones_own(self) -> None:
        adjustment = propose()
        reject(adjustment, actor="ana")
        adjustment.refresh_from_db()
        assert (adjustment.state, adjustment.decided_by) == ("REJECTED", "ana")
