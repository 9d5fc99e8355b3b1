"""`docs/modules.md` and `docs/events.md` say what the code says, and the schemas what is sent."""

import ast
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import CommandError, call_command

from payflow.documentation import documents, facts
from payflow.runtime.home import PROJECT
from payflow.tests.contracts.repository import MODULES, texts
from shared.event_bus import drain
from shared.events import catalogue
from shared.events.base import DomainEvent
from shared.events.schema import example_of, name_of, schema_of
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant

CONTRACTS = list(catalogue.contracts())
REMEDY = "Stale: run `.venv/bin/python manage.py modules` and commit what it wrote"


def validate(envelope: dict[str, Any]) -> None:
    contract = next(c for c in CONTRACTS if name_of(c) == envelope["type"])
    jsonschema.validate(
        envelope,
        schema_of(contract),
        cls=jsonschema.Draft202012Validator,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def envelope_of(row: Event) -> dict[str, Any]:
    base = {
        name: str(getattr(row, name)) for name in ("event_id", "correlation_id", "subject_id")
    } | {"occurred_at": row.occurred_at.isoformat().replace("+00:00", "Z")}
    contract = catalogue.contract(row.event_type, row.version)
    return contract.restored(row.payload, **base).envelope()


class TestDocuments:
    def test_are_what_the_code_says(self) -> None:
        # In a process of its own: other tests register listeners and jobs in this one.
        command = [sys.executable, "manage.py", "modules", "--check"]
        check = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

        assert check.returncode == 0, f"{REMEDY}\n{check.stderr}"

    def test_are_the_same_every_time(self) -> None:
        assert documents(PROJECT) == documents(PROJECT)

    def test_are_written_where_they_are_missing(self, tmp_path: Path, settings: Any) -> None:
        (tmp_path / "docs").mkdir()
        settings.ROOT = tmp_path
        printed = StringIO()

        call_command("modules", stdout=printed)

        assert printed.getvalue().strip() == (tmp_path / "docs/modules.md").read_text().strip()
        assert (tmp_path / "docs/events.md").is_file()
        call_command("modules", check=True)

    def test_are_found_stale_by_the_check(self, tmp_path: Path, settings: Any) -> None:
        settings.ROOT = tmp_path
        (tmp_path / "docs").mkdir()
        call_command("modules", stdout=StringIO())
        (tmp_path / "docs/events.md").write_text("something else")

        with pytest.raises(CommandError, match=r"docs/events.md.*manage.py modules"):
            call_command("modules", check=True)
        assert (tmp_path / "docs/events.md").read_text() == "something else"

    def test_link_to_headings_that_exist(self) -> None:
        headings = {
            "#" + re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in texts()["docs/events.md"].splitlines()
            if line.startswith("#")
        }
        linked = set(re.findall(r"events\.md(#[\w-]+)", texts()["docs/modules.md"]))
        assert linked
        assert linked <= headings


class TestCanvas:
    @pytest.mark.parametrize("module", MODULES)
    def test_names_the_tables_that_the_module_owns(self, module: str) -> None:
        told = set(re.findall(r"\w+\.\w+", facts.canvas_section(module, "Owns")))
        assert told == {table.name for table in facts.tables(module)}

    @pytest.mark.parametrize("module", MODULES)
    def test_says_whether_operators_act_here(self, module: str) -> None:
        told = "Operator.Action.Taken" in facts.canvas_section(module, "Publishes")
        assert told == any(
            "OperatorActionTaken" in _names(text) or "operating" in _names(text)
            for path, text in texts().items()
            if path.startswith(f"{module}/use_cases/")
        )


@pytest.mark.parametrize("contract", CONTRACTS, ids=name_of)
class TestSchema:
    def test_is_itself_valid(self, contract: type[DomainEvent]) -> None:
        jsonschema.Draft202012Validator.check_schema(schema_of(contract))

    def test_admits_the_example(self, contract: type[DomainEvent]) -> None:
        validate(example_of(contract).envelope())

    def test_names_the_keys_of_the_envelope_and_no_other(self, contract: type[DomainEvent]) -> None:
        envelope, schema = example_of(contract).envelope(), schema_of(contract)
        assert list(schema["properties"]) == list(envelope)
        assert list(schema["properties"]["payload"]["properties"]) == list(envelope["payload"])

    def test_refuses_what_no_envelope_is(self, contract: type[DomainEvent]) -> None:
        envelope = example_of(contract).envelope()
        for wrong in (
            {**envelope, "eventType": contract.event_type},
            {**envelope, "occurredAt": "yesterday"},
            {**envelope, "payload": {**envelope["payload"], "amountMinor": 1}},
            {key: value for key, value in envelope.items() if key != "correlationId"},
        ):
            with pytest.raises(jsonschema.ValidationError):
                validate(wrong)


class TestSchemaOfMoney:
    @pytest.mark.parametrize("amount", [25_000, 250.0, "25,000.00", "-1.00", "1e2", None])
    def test_is_a_decimal_string(self, amount: object) -> None:
        envelope = example_of(catalogue.contract("Ledger.Entry.Posted", 1)).envelope()
        assert envelope["payload"]["amount"] == "250.00"
        with pytest.raises(jsonschema.ValidationError):
            validate({**envelope, "payload": {**envelope["payload"], "amount": amount}})


@pytest.mark.django_db
class TestStory:
    def test_validates_event_by_event(self) -> None:
        merchant = registered_merchant()
        payment_id = merchant.post("/payments", payment_body()).json()["paymentId"]
        drain()
        merchant.post(f"/payments/{payment_id}/capture", {"idempotencyKey": "capture-1"})
        drain()
        merchant.post(
            f"/payments/{payment_id}/refund",
            {"idempotencyKey": "refund-1", "amount": "100.00", "reason": "damaged"},
        )
        merchant.post("/merchants/keys/rotate", {})
        drain()

        rows = list(Event.objects.order_by("sequence"))
        for row in rows:
            validate(envelope_of(row))

        assert {
            "Merchant.Account.Registered",
            "Payment.Transaction.Initiated",
            "Fraud.Assessment.Completed",
            "Payment.Transaction.Authorised",
            "Payment.Transaction.Captured",
            "Payment.Transaction.Refunded",
            "Ledger.Entry.Posted",
            "Notification.Message.Sent",
        } <= {row.event_type for row in rows}


def _names(text: str) -> set[str]:
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    return {
        part
        for node in imports
        for name in (*(node.module or "").split("."), *(alias.name for alias in node.names))
        for part in [name]
    }
