"""importlinter.ini: kept by the tree, broken by what is planted into a copy of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from payflow.tests.architecture.checks import PACKAGES
from payflow.tests.architecture.test_sources import ROOT

PLANTED = {
    "a module imports another": ("fraud/queries.py", "from payments.models import Payment"),
    "a module imports another inside a function": (
        "ledger/queries.py",
        "def read():\n    from merchants import queries",
    ),
    "a module imports the project": ("audit/queries.py", "import payflow.urls"),
    "shared imports a module": ("shared/db.py", "import ledger.models"),
    "the sandbox imports us": ("payflow/sandbox/times.py", "import shared.clock"),
    "we import the sandbox": ("payments/queries.py", "import payflow.sandbox.book"),
    "the client imports us": ("payflow/client/signing.py", "import shared.crypto"),
    "the client imports a framework": ("payflow/client/client.py", "import django.utils.timezone"),
    "the platform calls itself": ("payflow/api/composed.py", "import payflow.client.signing"),
    "a view opens the vault": ("payments/api/views.py", "from payments import vault"),
    "a file nobody knows": ("payments/helpers.py", ""),
    "a file nobody knows in shared": ("shared/utils.py", ""),
    "models import use cases": (
        "fraud/models.py",
        "from fraud.use_cases.decide_review import decide_review",
    ),
    "a domain imports Django": ("payments/domain/lifecycle.py", "from django.db import models"),
    "a use case imports REST framework": (
        "payments/use_cases/call_processor.py",
        "from rest_framework.response import Response",
    ),
    "a door imports another door": ("payments/tasks.py", "import payments.listeners"),
    "a module reaches into the bus": ("fraud/listeners.py", "import shared.event_bus._deliver"),
    "a module knows Celery": ("notifications/tasks.py", "import celery"),
    "the product imports test helpers": ("payments/queries.py", "import shared.testing.signing"),
}


def lint(tree: Path) -> "subprocess.CompletedProcess[str]":
    command = (
        "import sys; from importlinter.cli import lint_imports_command;"
        " sys.argv = ['lint-imports', '--config', 'importlinter.ini', '--no-cache'];"
        " lint_imports_command()"
    )
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run(
        [sys.executable, "-c", command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "static", "templates")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    shutil.copy(ROOT / "importlinter.ini", tmp_path)
    return tmp_path


class TestImportContracts:
    def test_are_kept(self, tree: Path) -> None:
        run = lint(tree)

        assert run.returncode == 0, run.stdout

    @pytest.mark.parametrize("violation", PLANTED)
    def test_find_a_planted_violation(self, violation: str, tree: Path) -> None:
        path, line = PLANTED[violation]
        with (tree / path).open("a") as file:
            file.write(f"\n{line}\n")

        run = lint(tree)

        assert run.returncode != 0
        assert "BROKEN" in run.stdout
