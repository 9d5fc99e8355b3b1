"""`manage.py trial_balance`: the chart of accounts, and whether debits equal credits."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ledger.queries import ChartLine, list_chart, trial_balance
from shared.money import Money


class Command(BaseCommand):
    """Prints balances per kind of account and currency; exits with 1 when they do not balance."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Print both."""
        for line in _chart(list_chart()):
            self.stdout.write(line)
        totals = trial_balance()
        for total in totals:
            difference = Money(total.difference_minor, total.currency)
            self.stdout.write(f"debits - credits = {difference}")
        if not totals:
            self.stdout.write("Nothing is posted yet.")
        if any(total.difference_minor for total in totals):
            raise CommandError("The books do not balance: see verify_ledger.")


def _chart(lines: list[ChartLine]) -> Iterator[str]:
    yield f"{'account':<22}{'accounts':>9}{'debit':>26}{'credit':>26}"
    for line in lines:
        balance = Money(abs(line.balance_minor), line.currency)
        debit, credit = (balance, "") if line.balance_minor >= 0 else ("", balance)
        yield f"{line.kind.lower():<22}{line.accounts:>9}{debit!s:>26}{credit!s:>26}"
