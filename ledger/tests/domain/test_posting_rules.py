"""Which accounts an event debits and credits."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain import posting_rules
from ledger.domain.posting_rules import (
    AccountKey,
    AccountKind,
    EntryType,
    Line,
    Side,
    authorisation_lines,
)
from shared.money import EXPONENTS, MAX_AMOUNT_MINOR


def moved(lines: tuple[Line, ...], side: Side) -> int:
    return sum(line.amount_minor for line in lines if line.side is side)


class TestAuthorisationLines:
    def test_debit_what_the_processor_holds_and_credit_the_merchants_hold(self) -> None:
        lines = authorisation_lines(
            merchant_id="m", processor="sandbox", amount_minor=25_000, currency="USD"
        )
        assert [(str(line.account), line.side, line.amount_minor) for line in lines] == [
            ("processor_pending:sandbox:USD", "DEBIT", 25_000),
            ("merchant_pending:m:USD", "CREDIT", 25_000),
        ]

    @given(st.integers(1, MAX_AMOUNT_MINOR), st.sampled_from(sorted(EXPONENTS)))
    def test_balance_in_one_currency_whatever_the_amount(
        self, amount_minor: int, currency: str
    ) -> None:
        lines = authorisation_lines(
            merchant_id="m", processor="p", amount_minor=amount_minor, currency=currency
        )
        assert moved(lines, Side.DEBIT) == moved(lines, Side.CREDIT) == amount_minor
        assert {line.account.currency for line in lines} == {currency}
        assert all(line.amount_minor > 0 for line in lines)


class TestEntryType:
    def test_stands_in_the_table_of_the_module(self) -> None:
        for entry_type in EntryType:
            assert f"| {entry_type.value} " in (posting_rules.__doc__ or "")


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
