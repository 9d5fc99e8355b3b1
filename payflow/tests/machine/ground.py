"""What a machine stands on: its clock, its processor, and operations that wait to be told."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.db import connections

from payflow.tests.machine.commands import World
from payments import conf
from payments.adapters import registry
from shared import clock
from shared.event_bus import _registry

LISTENERS = {"payments.apply_fraud_decision", "ledger.post_movements"}
"""Who may hear events: fraud decides what commands say, and who only writes down is too slow."""

# An operation that is due would be run by the next drain, whichever command asked for that. Here
# everything is due in a thousand years, until a command hastens it.
_HOLD_BACK = """
CREATE FUNCTION payments.machine_holds_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.due_at BETWEEN '2001-01-01' AND '2500-01-01' THEN
        NEW.due_at := NEW.due_at + interval '1000 years';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER machine_holds_back BEFORE INSERT OR UPDATE OF due_at ON payments.operation
    FOR EACH ROW EXECUTE FUNCTION payments.machine_holds_back();
"""
_EMPTY = (
    "TRUNCATE payments.payment CASCADE",
    "TRUNCATE ledger.account, ledger.journal_entry CASCADE",
    "TRUNCATE shared.event, shared.publication, shared.idempotency_record CASCADE",
)
_LET_GO = "DROP FUNCTION IF EXISTS payments.machine_holds_back() CASCADE"


@contextmanager
def prepared(world: World) -> Iterator[None]:
    """Put the platform of this process into a world."""
    with ExitStack() as undo:
        # After the patch is undone, and also when the block ends with a disagreement.
        undo.callback(_registry.ids_listening_to.cache_clear)
        patch = undo.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(registry, "_PROCESSORS", {"sandbox": world.processor})
        patch.setattr(clock, "now", lambda: world.now)
        patch.setattr(conf, "BREAKER_FAILURES", 1_000_000_000)  # silence is what commands say
        for name in set(_registry.listeners) - LISTENERS:
            patch.delitem(_registry.listeners, name)
        _registry.ids_listening_to.cache_clear()
        _on_owner(_LET_GO, _HOLD_BACK)
        try:
            yield
        finally:
            _on_owner(_LET_GO)


def empty() -> None:
    """Forget all payments; where the TRUNCATE triggers are disabled, as in the suite."""
    _on_owner(*_EMPTY)


def _on_owner(*statements: str) -> None:
    with connections["owner"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
