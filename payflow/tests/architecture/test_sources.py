"""The boundaries that import-linter cannot see, each shown to find a planted violation."""

from collections.abc import Callable
from pathlib import Path

import pytest

from payflow.tests.architecture import checks

ROOT = Path(__file__).resolve().parents[3]

PLANTED = [
    (checks.unlisted_packages, "helpers/__init__.py", ""),
    (checks.folders_without_init, "fraud/domain/scoring/model.py", ""),
    (checks.imports_of_what_stands_apart, "payflow/client/signing.py", "import requests"),
    (
        checks.imports_of_what_stands_apart,
        "payflow/client/client.py",
        "from ..runtime import ports",
    ),
    (
        checks.imports_of_what_stands_apart,
        "payflow/sandbox/book.py",
        "def read():\n    from payflow.documentation import facts",
    ),
    (
        checks.models_by_name,
        "fraud/queries.py",
        "def read(): return apps.get_model('payments', 'Payment')",
    ),
    (
        checks.foreign_keys_by_name,
        "fraud/models.py",
        "payment = models.ForeignKey('payments.Payment', on_delete=models.PROTECT)",
    ),
    (checks.writes_outside_models, "fraud/use_cases/change.py", "def change(row): row.save()"),
    (
        checks.other_schemas_in_sql,
        "fraud/queries.py",
        "SQL = 'SELECT * FROM payments.payment'",
    ),
    (
        checks.events_built_elsewhere,
        "fraud/use_cases/change.py",
        "def change(): return PaymentTransactionAuthorised()",
    ),
    (checks.business_words_in_shared, "shared/helpers.py", "# what a payment needs"),
    (checks.clocks_read_inside, "fraud/use_cases/change.py", "def change(): return clock.now()"),
    (checks.floats, "ledger/domain/fees.py", "def fee(amount): return float(amount) * 0.01"),
    (checks.too_long, "fraud/use_cases/change.py", "def long():\n" + "    pass\n" * 51),
    (checks.undocumented, "fraud/use_cases/change.py", "def change(): pass"),
]


class TestSources:
    @pytest.mark.parametrize("check", [check for check, _, _ in PLANTED])
    def test_are_in_their_rooms(self, check: Callable[[Path], list[str]]) -> None:
        assert check(ROOT) == []

    @pytest.mark.parametrize(("check", "path", "text"), PLANTED)
    def test_out_of_their_rooms_are_found(
        self, check: Callable[[Path], list[str]], path: str, text: str, tmp_path: Path
    ) -> None:
        contracts = tmp_path / "shared/events/payments.py"
        contracts.parent.mkdir(parents=True)
        contracts.write_text("class PaymentTransactionAuthorised: ...")
        (tmp_path / "importlinter.ini").write_text("[importlinter]\nroot_packages =\n    fraud\n")
        for package in {"fraud", str(Path(path).parts[0])}:
            (tmp_path / package).mkdir(exist_ok=True)
        planted = tmp_path / path
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.write_text(text)

        assert check(tmp_path) != []
