"""A short torture; `make torture` is the long one: 200 kills and 40 restarts of PostgreSQL."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("processes")

ROOT = Path(__file__).resolve().parents[3]
SHORT = ["--kills", "6", "--restarts", "2", "--lanes", "4", "--cut-leases"]
# How soon all is drained, `make torture` says; here other tests have the processor, too.
HELD = (
    r"^kill -9 +6 \(",
    r"^immediate restarts +2 of",
    r"^errors .* all resolved by retrying$",
    r"^lost +0$",
    r"^doubled +0$",
    r"^out of order +0$",
    r"^ledger +balanced, and as the acquirer's book$",
    r"^parked or open +0$",
)


class TestTorture:
    def test_loses_nothing_doubles_nothing_and_keeps_the_order(self) -> None:
        command = [sys.executable, "manage.py", "torture", *SHORT]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        table = run.stdout + run.stderr
        for held in HELD:
            assert re.search(held, table, re.MULTILINE), f"{held}\n{table}"
