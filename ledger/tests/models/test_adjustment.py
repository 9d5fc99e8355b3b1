"""Adjustments: what PostgreSQL refuses, whoever asks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connections

from ledger.domain.posting_rules import PLATFORM, AccountKind
from ledger.models import Adjustment
from ledger.tests.conftest import NOW
from shared.money import MAX_AMOUNT_MINOR
from shared.testing.refusals import constraint_names, refused_state, violated, without_trigger

pytestmark = pytest.mark.django_db

UNCHANGED = "adjustment_is_decided_as_proposed"
DECIDED: dict[str, Any] = {"decided_by": "ben", "decided_at": NOW}


def write(**changes: Any) -> Adjustment:
    facts = {
        "debit_kind": AccountKind.BANK,
        "debit_owner": PLATFORM,
        "credit_kind": AccountKind.PLATFORM_FEES,
        "credit_owner": PLATFORM,
        "amount_minor": 100,
        "currency": "USD",
        "reason": "because",
        "proposed_by": "ana",
        "proposed_at": NOW,
    }
    return Adjustment.objects.create(**(facts | changes))


class TestConstraints:
    def test_refuse_what_they_name(self) -> None:
        breaks: dict[str, list[dict[str, Any]]] = {
            "adjustment_state_is_known": [{"state": "MAYBE"} | DECIDED],
            "adjustment_decided_by_somebody": [
                {"state": "CONFIRMED"},
                {"state": "REJECTED", "decided_by": "ben"},
                {"decided_by": "ben"},
            ],
            "adjustment_takes_two_people": [
                {"state": "CONFIRMED"} | DECIDED | {"decided_by": "ana"}
            ],
            "adjustment_account_kinds_are_known": [{"debit_kind": "X"}, {"credit_kind": ""}],
            "adjustment_between_two_accounts": [{"credit_kind": AccountKind.BANK}],
            "adjustment_amount_within_limits": [
                {"amount_minor": 0},
                {"amount_minor": MAX_AMOUNT_MINOR + 1},
            ],
        }
        for name, ways in breaks.items():
            for changes in ways:
                assert violated(partial(write, **changes)) == name
        assert set(breaks) == constraint_names(Adjustment)


class TestTerms:
    def change(self, row: Adjustment, using: str = "default", **values: Any) -> Callable[[], int]:
        return lambda: Adjustment.objects.using(using).filter(pk=row.pk).update(**values)

    def test_never_change(self) -> None:
        row = write()
        others: list[dict[str, Any]] = [
            {"amount_minor": 1_000_000},
            {"credit_owner": "me"},
            {"reason": "another"},
            {"proposed_by": "dan"},
        ]
        for values in others:
            assert violated(self.change(row, **values)) == UNCHANGED
            confirming = self.change(row, state="CONFIRMED", **DECIDED, **values)
            assert violated(confirming) == UNCHANGED

    def test_are_decided_once(self) -> None:
        row = write()
        assert self.change(row, state="REJECTED", **DECIDED)() == 1
        assert violated(self.change(row, state="CONFIRMED", decided_by="cyd")) == UNCHANGED

    def test_would_change_without_the_trigger(self) -> None:
        # The naive twin: a second person confirms another amount than they read.
        row = write()
        with without_trigger("ledger.adjustment", UNCHANGED):
            assert self.change(row, "owner", amount_minor=1_000_000)() == 1

    def test_are_never_deleted(self) -> None:
        write()
        for using, state in (("default", "42501"), ("owner", "23001")):
            cursor = connections[using].cursor()
            delete = partial(cursor.execute, "DELETE FROM ledger.adjustment")
            assert refused_state(delete, using) == state
