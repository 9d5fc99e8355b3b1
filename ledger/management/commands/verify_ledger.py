"""`manage.py verify_ledger`: do the books balance?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ledger.use_cases.verify_ledger import verify_ledger


class Command(BaseCommand):
    """Exits with 1 when anything cannot be, naming it."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify, and say so."""
        if findings := verify_ledger():
            lines = [f"{finding.what} {finding.where}: {finding.detail}" for finding in findings]
            raise CommandError("\n".join(lines))
        self.stdout.write("The ledger balances.")
