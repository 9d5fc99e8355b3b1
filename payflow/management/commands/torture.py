"""`manage.py torture`: kill -9 and database restarts under load, and what was left of it."""

import random
import signal
import sys
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow.runtime.scratch import Platform, PlatformDidNotStart, platform, scratch_home
from payflow.runtime.torture import NobodyToKill, Plan, Torture, Verdict


class Command(BaseCommand):
    """
    Kills processes of a PayFlow of its own under load; exits with 1 if anything gave.

    Two web workers, two dispatchers, two Celery workers and a beat are killed with -9, and the
    database is shut down without a checkpoint, in random order; the supervisor that `make run`
    uses starts them again. Every request is repeated under its key until it is answered.
    """

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """How much, and how fast."""
        parser.add_argument("--kills", type=int, default=200)
        parser.add_argument("--restarts", type=int, default=40, help="of PostgreSQL, immediate")
        parser.add_argument("--seed", type=int, default=None, help="the dice of an earlier run")
        parser.add_argument("--lanes", type=int, default=8, help="payments at a time")
        parser.add_argument("--pause", type=float, default=1.5, help="mean seconds between faults")
        parser.add_argument(
            "--cut-leases",
            action="store_true",
            help="let leases of intents (up to 5 minutes) end with the last fault",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Torture, print what was done and what held."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        plan = _plan(options)
        self.stdout.write(f"seed {plan.seed}")
        try:
            with (
                scratch_home("torture") as home,
                platform(
                    home,
                    PAYFLOW_LOG_LEVEL="WARNING",
                    PAYFLOW_WEB_WORKERS="2",
                    PAYFLOW_DISPATCHERS="2",
                    PAYFLOW_WORKERS="2",
                ) as running,
            ):
                verdict = self._torture(running, plan)
        except PlatformDidNotStart as error:
            raise CommandError(f"PayFlow did not start. Its last lines:\n{error}") from None
        self.stdout.write(verdict.table())
        if not verdict.held:
            raise CommandError("It did not hold.")
        self.stdout.write("0 lost, 0 doubled, order kept, ledger balanced: it held.")

    def _torture(self, running: Platform, plan: Plan) -> Verdict:
        try:
            return Torture(running, plan, report=self._report).run()
        except (NobodyToKill, psycopg.OperationalError) as error:
            raise CommandError(
                f"PayFlow was not started again ({error}). Its last lines:\n{running.last_lines}"
            ) from None

    def _report(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _plan(options: dict[str, Any]) -> Plan:
    seed = options["seed"]
    return Plan(
        kills=options["kills"],
        restarts=options["restarts"],
        seed=random.randrange(10**6) if seed is None else seed,  # noqa: S311 - printed, repeatable
        lanes=options["lanes"],
        pause_seconds=options["pause"],
        cuts_leases=options["cut_leases"],
    )
