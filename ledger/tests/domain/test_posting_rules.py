"""Which accounts an event debits and credits."""

from collections import Counter
from collections.abc import Callable
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain import posting_rules
from ledger.domain.posting_rules import (
    PLATFORM,
    AccountKey,
    AccountKind,
    Correction,
    Draft,
    EntryType,
    MovementOfMoney,
    Party,
    Side,
    drafts_of,
)
from ledger.tests.conftest import ACME, Story
from shared.identifiers import new_id
from shared.money import EXPONENTS, MAX_AMOUNT_MINOR

AMOUNTS = st.integers(1, MAX_AMOUNT_MINOR)
WAYS: list[Callable[[Story, int], MovementOfMoney]] = [
    lambda story, _: story.authorised(),
    lambda story, minor: story.captured(minor),
    lambda story, minor: story.captured(minor, released=minor),
    lambda story, minor: story.voided(minor),
    lambda story, minor: story.expired(minor),
    lambda story, minor: story.refunded(minor),
]

_SHORT = {Side.DEBIT: "Dr", Side.CREDIT: "Cr"}


def lines(draft: Draft) -> list[str]:
    """Its postings, as one would write them down."""
    return [
        f"{_SHORT[line.side]} {line.account.kind.lower().replace('_', ' ')} {line.amount_minor}"
        for line in draft.lines
    ]


class TestDraftsOf:
    def test_book_every_event_as_the_table_says(self) -> None:
        story = Story(amount_minor=100)
        capture = [
            "Dr processor receivable 60",
            "Dr merchant pending 60",
            "Cr merchant payable 60",
            "Cr processor pending 60",
        ]
        release = ["Dr merchant pending 40", "Cr processor pending 40"]
        refund = ["Dr merchant payable 20", "Cr processor receivable 20"]
        told: list[tuple[MovementOfMoney, dict[str, list[str]]]] = [
            (
                story.authorised(),
                {"AUTH": ["Dr processor pending 100", "Cr merchant pending 100"]},
            ),
            (story.captured(60), {"CAPTURE": capture}),
            (story.captured(60, released=40), {"CAPTURE": capture, "RELEASE": release}),
            (story.voided(40), {"VOID": release}),
            (story.expired(40), {"EXPIRY": release}),
            (story.refunded(20), {"REFUND": refund}),
        ]
        for event, entries in told:
            assert {d.entry_type: lines(d) for d in drafts_of(event)} == entries
        assert {type(event) for event, _ in told} == set(get_args(MovementOfMoney))

    def test_belong_to_their_event_its_story_and_its_merchant(self) -> None:
        event = Story().captured(60, released=40)
        for draft in drafts_of(event):
            assert str(draft.event_id) == event.event_id
            assert str(draft.correlation_id) == event.correlation_id
            assert str(draft.merchant_id) == ACME
            owners = {line.account.kind.party: line.account.owner for line in draft.lines}
            assert owners == {Party.MERCHANT: ACME, Party.PROCESSOR: "sandbox"}

    def test_need_a_merchant(self) -> None:
        with pytest.raises(TypeError):
            drafts_of(Story(merchant_id=None).authorised())  # type: ignore[arg-type]

    @given(AMOUNTS, st.sampled_from(sorted(EXPONENTS)), st.sampled_from(WAYS))
    def test_balance_in_one_currency_whatever_the_amount(
        self, minor: int, currency: str, way: Callable[[Story, int], MovementOfMoney]
    ) -> None:
        event = way(Story(amount_minor=minor, currency=currency), minor)
        for draft in drafts_of(event):
            moved = Counter[Side]()
            for line in draft.lines:
                assert line.amount_minor == draft.amount_minor == minor
                assert line.account.currency == draft.currency == currency
                moved[line.side] += line.amount_minor
            assert moved[Side.DEBIT] == moved[Side.CREDIT] >= minor


class TestEntryType:
    def test_stands_in_the_table_of_the_module(self) -> None:
        for entry_type in EntryType:
            assert f"| {entry_type.value} " in (posting_rules.__doc__ or "")


class TestAccountKind:
    def test_says_whose_it_is(self) -> None:
        parties = {kind: kind.party for kind in AccountKind}
        for kind in (AccountKind.BANK, AccountKind.PLATFORM_FEES):
            assert parties.pop(kind) is Party.PLATFORM
        for kind, party in parties.items():
            assert kind.startswith(f"{party}_")
            assert party is not Party.PLATFORM


class TestAccountKey:
    def test_sorts_and_reads_the_same_everywhere(self) -> None:
        keys = [
            AccountKey(kind, owner, currency)
            for kind in AccountKind
            for owner in ("a", "b")
            for currency in ("EUR", "USD")
        ]
        assert sorted(sorted(keys, reverse=True)) == sorted(keys)
        assert len({str(key) for key in keys}) == len(keys)


class TestCorrection:
    BANK = AccountKey(AccountKind.BANK, PLATFORM, "USD")
    PAYABLE = AccountKey(AccountKind.MERCHANT_PAYABLE, ACME, "USD")

    def test_debits_one_account_and_credits_the_other(self) -> None:
        debit, credit = Correction(self.BANK, self.PAYABLE, 7).lines
        assert (debit.account, debit.side, debit.amount_minor) == (self.BANK, Side.DEBIT, 7)
        assert (credit.account, credit.side, credit.amount_minor) == (self.PAYABLE, Side.CREDIT, 7)

    def test_belongs_to_the_one_merchant_it_moves(self) -> None:
        pending = AccountKey(AccountKind.MERCHANT_PENDING, ACME, "USD")
        other = AccountKey(AccountKind.MERCHANT_PAYABLE, str(new_id()), "USD")
        fees = AccountKey(AccountKind.PLATFORM_FEES, PLATFORM, "USD")
        for debit, credit, owner in (
            (self.BANK, self.PAYABLE, UUID(ACME)),
            (self.PAYABLE, pending, UUID(ACME)),
            (self.PAYABLE, other, None),
            (self.BANK, fees, None),
        ):
            assert Correction(debit, credit, 1).merchant_id == owner
