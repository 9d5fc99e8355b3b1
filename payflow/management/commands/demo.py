"""`manage.py demo`: one merchant's story, played on a platform of its own and checked."""

import signal
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payflow.runtime.demo import Differs, Paper, Story
from payflow.runtime.scratch import PlatformDidNotStart, platform, scratch_home


class Command(BaseCommand):
    """Starts a scratch PayFlow, pays, shows what happened; exits with 1 if anything differs."""

    help = __doc__
    # Neither models nor a database of this process are touched.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Play, and stop what was started, also when told to end."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        paper = Paper(self._write)
        paper.title("PayFlow: one merchant, five payments, and what each of them leaves behind")
        started = time.monotonic()
        try:
            with scratch_home("demo") as home, platform(home) as running:
                seconds = time.monotonic() - started
                paper.line(f"a PayFlow of its own at {running.url}, ready after {seconds:.1f} s")
                Story(running, paper).play()
        except Differs as difference:
            raise CommandError(f"This is not as it should be: {difference}") from None
        except PlatformDidNotStart as error:
            raise CommandError(f"PayFlow did not start. Its last lines:\n{error}") from None
        self._write(f"\nAs it should be: {paper.held} expectations held.\n")

    def _write(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
