"""
A payment begins as PENDING, moves only as the lifecycle allows, keeps its terms, and stays.

`payments/tests/models/test_payment_table.py` compares these pairs with
`payments.domain.lifecycle`: a change there asks for a migration like this one.
"""

from django.db import migrations

from shared.postgres.operations import AppendOnly

_GUARD = """
CREATE FUNCTION payments.refuse_other_transitions() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'PENDING' THEN RETURN NEW; END IF;
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_begins_pending',
            MESSAGE = format('a payment begins as PENDING, not as %s', NEW.status);
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.correlation_id, NEW.idempotency_key, NEW.amount_minor,
        NEW.currency, NEW.payee_account_id, NEW.method_type, NEW.method_token) IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.correlation_id, OLD.idempotency_key, OLD.amount_minor,
        OLD.currency, OLD.payee_account_id, OLD.method_type, OLD.method_token) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_terms_never_change',
            MESSAGE = 'merchant, key, payee, method, amount and currency of a payment never change';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('PENDING', 'IN_REVIEW'), ('PENDING', 'AUTHORISED'), ('PENDING', 'DECLINED'),
        ('PENDING', 'FAILED'), ('IN_REVIEW', 'PENDING'), ('IN_REVIEW', 'DECLINED')
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_transition_is_listed',
            MESSAGE = format('a payment does not go from %s to %s', OLD.status, NEW.status);
    END IF;
    RETURN NEW;
END
$body$;

CREATE TRIGGER payment_lifecycle BEFORE INSERT OR UPDATE ON payments.payment
FOR EACH ROW EXECUTE FUNCTION payments.refuse_other_transitions();

ALTER TABLE payments.payment ENABLE ALWAYS TRIGGER payment_lifecycle;
"""
_UNGUARD = """
DROP TRIGGER payment_lifecycle ON payments.payment;
DROP FUNCTION payments.refuse_other_transitions();
"""


class Migration(migrations.Migration):
    """Refuse what the lifecycle does not list, also in plain SQL."""

    dependencies = [("payments", "0001_initial")]

    operations = [
        migrations.RunSQL(_GUARD, _UNGUARD),
        AppendOnly("payments", "payment", update=False),
    ]
