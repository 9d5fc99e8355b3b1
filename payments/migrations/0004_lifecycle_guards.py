"""
The transitions of the whole lifecycle, the history that PostgreSQL writes, and the first routes.

`payments/tests/models/test_payment_table.py` compares these pairs with
`payments.domain.lifecycle`: a change there asks for a migration like this one.
"""

from typing import Any

from django.db import migrations

from shared.postgres.operations import AppendOnly

# Payments and operations from before there was more than authorising.
_FILL = """
UPDATE payments.operation SET merchant_id = payment.merchant_id,
    verdict = CASE outcome WHEN 'APPROVED' THEN 'APPROVED' WHEN 'DECLINED' THEN 'DECLINED'
              ELSE CASE WHEN due_at IS NULL AND parked_at IS NULL AND outcome = 'NOT_SENT'
                   THEN 'FAILED' ELSE '' END END
FROM payments.payment WHERE payment.id = operation.payment_id;

UPDATE payments.payment SET processor = operation.processor,
    processor_reference = operation.processor_reference,
    capture_before = payment.authorised_at + interval '7 days'
FROM payments.operation
WHERE operation.payment_id = payment.id AND payment.status = 'AUTHORISED'
  AND operation.verdict = 'APPROVED';
"""

_GUARD = """
CREATE OR REPLACE FUNCTION payments.refuse_other_transitions() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'PENDING' THEN RETURN NEW; END IF;
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_begins_pending',
            MESSAGE = format('a payment begins as PENDING, not as %s', NEW.status);
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.correlation_id, NEW.idempotency_key, NEW.amount_minor,
        NEW.currency, NEW.payee_account_id, NEW.method_type, NEW.method_token, NEW.method_details,
        NEW.captures_at_once, NEW.return_url) IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.correlation_id, OLD.idempotency_key, OLD.amount_minor,
        OLD.currency, OLD.payee_account_id, OLD.method_type, OLD.method_token, OLD.method_details,
        OLD.captures_at_once, OLD.return_url) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_terms_never_change',
            MESSAGE = 'merchant, key, payee, method, amount and currency of a payment never change';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('PENDING', 'IN_REVIEW'), ('PENDING', 'AUTHORISED'), ('PENDING', 'DECLINED'),
        ('PENDING', 'FAILED'), ('IN_REVIEW', 'PENDING'), ('IN_REVIEW', 'DECLINED'),
        ('AUTHORISED', 'VOIDED'), ('AUTHORISED', 'EXPIRED'),
        ('AUTHORISED', 'PARTIALLY_CAPTURED'), ('AUTHORISED', 'CAPTURED'),
        ('PARTIALLY_CAPTURED', 'CAPTURED'), ('PARTIALLY_CAPTURED', 'PARTIALLY_REFUNDED'),
        ('PARTIALLY_CAPTURED', 'REFUNDED'), ('CAPTURED', 'PARTIALLY_REFUNDED'),
        ('CAPTURED', 'REFUNDED'), ('PARTIALLY_REFUNDED', 'REFUNDED')
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_transition_is_listed',
            MESSAGE = format('a payment does not go from %s to %s', OLD.status, NEW.status);
    END IF;
    IF NEW.captured_minor < OLD.captured_minor OR NEW.refunded_minor < OLD.refunded_minor
       OR NEW.released_minor < OLD.released_minor THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_amounts_only_grow',
            MESSAGE = 'what was captured, released or refunded stays so';
    END IF;
    RETURN NEW;
END
$body$;

CREATE FUNCTION payments.keep_history() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
    INSERT INTO payments.status_change (payment_id, status_from, status_to, reason, at)
    VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status ELSE '' END, NEW.status,
            CASE NEW.status WHEN 'DECLINED' THEN NEW.decline_reason
                            WHEN 'FAILED' THEN NEW.failure_reason ELSE '' END, NEW.updated_at);
    RETURN NULL;
END
$body$;

CREATE TRIGGER payment_begins AFTER INSERT ON payments.payment
FOR EACH ROW EXECUTE FUNCTION payments.keep_history();
CREATE TRIGGER payment_moves AFTER UPDATE ON payments.payment
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION payments.keep_history();

ALTER TABLE payments.payment ENABLE ALWAYS TRIGGER payment_begins;
ALTER TABLE payments.payment ENABLE ALWAYS TRIGGER payment_moves;
"""
_UNGUARD = """
DROP TRIGGER payment_begins ON payments.payment;
DROP TRIGGER payment_moves ON payments.payment;
DROP FUNCTION payments.keep_history();
"""

ROUTES = [
    ("CARD", "", 10, "sandbox"),
    ("CARD", "", 20, "sandbox-backup"),
    ("WALLET", "", 10, "sandbox-wallet"),
    ("NETBANKING", "", 10, "sandbox-bank"),
]


def seed(apps: Any, schema_editor: Any) -> None:
    """Route everything to the sandbox; where none is configured, these are passed over."""
    routes = apps.get_model("payments", "Route").objects.using(schema_editor.connection.alias)
    for method_type, currency, priority, processor in ROUTES:
        routes.create(
            method_type=method_type, currency=currency, priority=priority, processor=processor
        )


def unseed(apps: Any, schema_editor: Any) -> None:
    """Delete them."""
    apps.get_model("payments", "Route").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    """Refuse what the lifecycle does not list, keep the history, and route to the sandbox."""

    dependencies = [("payments", "0003_whole_lifecycle")]

    operations = [
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.RunSQL(_GUARD, _UNGUARD),
        AppendOnly("payments", "status_change"),
        AppendOnly("payments", "resolution", update=False),
        migrations.RunPython(seed, unseed),
    ]
