"""The bench's floor is honest: pgbench writes the rows of a real payment, as many and as wide."""

from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.db import connections

from payflow.runtime.bench import floor
from payflow.runtime.postgres_binaries import find_binaries
from payflow.tests.flows.test_kill import payment_body, query, registered
from payflow.tests.processes import database_urls
from shared.event_bus import drain

pytestmark = pytest.mark.django_db

TABLES = (
    "shared.event",
    "shared.publication",
    "shared.idempotency_record",
    "payments.payment",
    "payments.operation",
    "fraud.assessment",
    "ledger.journal_entry",
    "ledger.posting",
    "notifications.message",
    "audit.record",
)


class TestFloor:
    def test_writes_the_rows_of_a_real_payment(self, tmp_path: Path) -> None:
        merchant = registered()
        drain()
        before = sizes()
        answer = merchant.send("POST", "/payments", payment_body(str(uuid4())))
        assert answer.status_code == 202
        drain()
        real = grown_since(before)

        before = sizes()
        url = database_urls()["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(floor.OPEN_ACCOUNTS)
        floor.run_once(find_binaries(), url, tmp_path / "floor.sql")
        written = grown_since(before)

        assert rows(written) == rows(real)
        for table, (_, real_bytes) in real.items():
            assert written[table][1] == pytest.approx(real_bytes, rel=0.25), table

    def test_has_six_transactions(self) -> None:
        assert floor.SCRIPT.count("BEGIN;") == floor.SCRIPT.count("END;") == 6


def sizes() -> dict[str, tuple[int, int]]:
    """Rows and bytes of every table a payment writes to."""
    with connections["owner"].cursor():
        return {
            table: query(f"SELECT count(*), COALESCE(sum(pg_column_size(t.*)), 0) FROM {table} t")[
                0
            ]
            for table in TABLES
        }


def grown_since(before: dict[str, tuple[int, int]]) -> dict[str, tuple[int, float]]:
    return {
        table: (count - before[table][0], float(size - before[table][1]))
        for table, (count, size) in sizes().items()
    }


def rows(grown: dict[str, tuple[int, float]]) -> dict[str, int]:
    return {table: count for table, (count, _) in grown.items()}
