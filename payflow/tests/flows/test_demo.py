"""`make demo`: played once from start to end, and once with something wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from payflow.runtime.demo import Differs, Paper
from payflow.runtime.home import PROJECT

# Nothing listens there: the command must not need a database of its caller.
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def demo(tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "demo"],
        cwd=PROJECT,
        env=os.environ | {"DATABASE_URL": NO_DATABASE, "TMPDIR": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


class TestDemo:
    def test_plays_the_story_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        played = demo(tmp_path)

        assert played.returncode == 0, played.stdout + played.stderr
        for shown in (
            "Payment.Transaction.Authorised",
            "✓ Σ debits = Σ credits",
            "✓ 401 invalid_signature",
            "DECLINED  (fraud_assessment)",
            "DECLINED  (insufficient_funds)",
            "Payment of 5000 JPY authorised",
            "As it should be:",
        ):
            assert shown in played.stdout
        assert list(tmp_path.iterdir()) == []

    def test_fails_when_the_platform_does_not_start(self, tmp_path: Path) -> None:
        played = demo(tmp_path, PAYFLOW_PG_BIN=str(tmp_path))

        assert played.returncode == 1
        assert "PAYFLOW_PG_BIN" in played.stderr
        assert list(tmp_path.iterdir()) == []


class TestPaper:
    def test_ends_the_story_where_something_differs(self) -> None:
        paper = Paper(lambda text: None)
        paper.expect("status", 201, 201)
        with pytest.raises(Differs, match=r"status: expected 201, found 500"):
            paper.expect("status", 500, 201)
        assert paper.held == 1

    def test_aligns_tables(self) -> None:
        lines: list[str] = []
        Paper(lines.append).table(("a", "n"), [("x", "10")], total=("Σ", "10"), right=(1,))
        assert [line.strip() for line in lines] == [
            "┌───┬────┐",
            "│ a │  n │",
            "├───┼────┤",
            "│ x │ 10 │",
            "├───┼────┤",
            "│ Σ │ 10 │",
            "└───┴────┘",
        ]
