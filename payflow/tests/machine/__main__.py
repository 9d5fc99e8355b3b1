"""The long run: a database of its own, and commands from a seed until one is answered wrong."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from payflow.runtime.embedded_postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from payflow.tests.machine.machine import Machine
    from payflow.tests.machine.wanderer import Wanderer

AUDIT_EVERY = 500
AUDIT_LEDGER_EVERY = 10_000


def main() -> int:
    """Run as many steps as were asked for; 1 if the platform and the auditor disagree."""
    parser = argparse.ArgumentParser(prog="python -m payflow.tests.machine", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same run")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    _say(f"seed {seed}, {options.steps:,} steps")
    with _platform():
        return _run(options.steps, seed)


@contextmanager
def _platform() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="payflow-machine-") as home:
        server = EmbeddedPostgres(Path(home), durable=False).start()
        try:
            os.environ |= {
                "PAYFLOW_HOME": home,
                "DATABASE_URL": server.app_url,
                "DATABASE_OWNER_URL": server.owner_url,
                "PAYFLOW_LOG_LEVEL": "CRITICAL",
                "DJANGO_SETTINGS_MODULE": "payflow.settings",
            }
            _migrate()
            yield
        finally:
            server.stop()


def _migrate() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", database="owner", verbosity=0, interactive=False)


def _run(steps: int, seed: int) -> int:
    from payflow.tests.machine.ground import prepared
    from payflow.tests.machine.machine import Disagreement, Machine
    from payflow.tests.machine.wanderer import Wanderer

    machine, wanderer, began = Machine(), Wanderer(seed), time.monotonic()
    with prepared(machine.world):
        try:
            _walk(machine, wanderer, steps)
        except Disagreement as disagreement:
            _say(f"\nDISAGREEMENT, seed {seed}, step {machine.steps:,}\n{disagreement}")
            return 1
        finally:
            _sum_up(machine, time.monotonic() - began)
    _say(f"No disagreement in {machine.steps:,} steps; seed {seed}.")
    return 0


def _walk(machine: "Machine", wanderer: "Wanderer", steps: int) -> None:
    audits = ledger_audits = 0
    began = time.monotonic()
    while machine.steps < steps:
        wanderer.step(machine)
        if machine.steps // AUDIT_EVERY > audits:
            audits = machine.steps // AUDIT_EVERY
            machine.audit()
        if machine.steps // AUDIT_LEDGER_EVERY > ledger_audits:
            ledger_audits = machine.steps // AUDIT_LEDGER_EVERY
            machine.audit_ledger()
            pace = machine.steps / (time.monotonic() - began)
            _say(f"{machine.steps:>9,} steps, {pace:,.0f}/s, {_payments(machine)}")
    machine.audit()
    machine.audit_ledger()


def _sum_up(machine: "Machine", seconds: float) -> None:
    _say(f"\n{machine.steps:,} steps in {seconds:,.0f} s: {machine.steps / seconds:,.0f}/s")
    _say(f"{_payments(machine)}, {len(machine.world.processor.book):,} lines in the book")
    passed = machine.world.now - machine.world.began
    _say(f"{machine.audits:,} audits; virtual time passed: {passed}\n")
    for told, times in sorted(machine.told.items()):
        _say(f"  {told:<60} {times:>7,}")


def _payments(machine: "Machine") -> str:
    return f"{len(machine.world.payments):,} payments, {len(machine.lives)} of them alive"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
