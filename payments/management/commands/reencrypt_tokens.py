"""`manage.py reencrypt_tokens`: bring every token under the current keys of the ring."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.use_cases.reencrypt_tokens import reencrypt_tokens

_MAX_PASSES = 5


class Command(BaseCommand):
    """
    Prints what it did; exits with 1 when something is left that it could not do.

    May be stopped and started at any time, beside running traffic and beside itself.
    """

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many rows are locked at a time."""
        parser.add_argument("--batch-size", type=int, default=200, help="rows per transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        """Pass over the tokens until a pass finds nothing more to do."""
        rewritten, left, lost = 0, 0, set[str]()
        for _ in range(_MAX_PASSES):
            found, left, lost = self._pass(options["batch_size"])
            rewritten += found
            if not found:
                break
        self.stdout.write(f"{rewritten} re-encrypted, {len(lost)} do not open.")
        if lost:
            raise CommandError("Sealed under a key that left the ring: " + ", ".join(sorted(lost)))
        if left:
            raise CommandError(f"{left} are in use by others; run it again.")

    def _pass(self, batch_size: int) -> tuple[int, int, set[str]]:
        rewritten, lost = 0, set[str]()
        step = reencrypt_tokens(limit=batch_size)
        while step.last:
            rewritten += step.rewritten
            lost.update(step.lost)
            self.stdout.write(f"… {rewritten}")
            step = reencrypt_tokens(after=step.last, limit=batch_size)
        return rewritten, step.left, lost
