"""A short strike of the hammer; `make hammer ARGS="--rounds 10000"` is the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("processes")

ROOT = Path(__file__).resolve().parents[3]


class TestHammer:
    def test_holds(self) -> None:
        command = [sys.executable, "manage.py", "hammer", "--rounds", "36", "--lanes", "6"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        assert "it held" in run.stdout
        assert "the acquirer had to refuse 0 calls" in run.stdout
