"""Nothing takes more from a hold than it holds, and what two people agreed on does not change."""

from django.db import migrations

from shared.postgres.operations import AppendOnly

# Once per statement, so once per batch. Not deferred: only row triggers can be, and what is asked
# is known when the entries are. Two transactions cannot both pass: whoever posts has locked the
# accounts of the hold before, and a later statement sees what the other one has committed.
_GUARD = """
CREATE FUNCTION ledger.refuse_more_than_held() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
DECLARE
    story record;
BEGIN
    SELECT correlation_id, currency, held, taken INTO story
    FROM (SELECT correlation_id, currency,
                 coalesce(sum(amount_minor) FILTER (WHERE entry_type = 'AUTH'), 0) AS held,
                 coalesce(sum(amount_minor) FILTER (WHERE entry_type <> 'AUTH'), 0) AS taken
          FROM ledger.journal_entry
          WHERE entry_type IN ('AUTH', 'CAPTURE', 'RELEASE', 'VOID', 'EXPIRY')
            AND correlation_id IN (SELECT correlation_id FROM posted WHERE entry_type IN
                                   ('CAPTURE', 'RELEASE', 'VOID', 'EXPIRY'))
          GROUP BY correlation_id, currency) AS stories
    WHERE taken > held ORDER BY correlation_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'integrity_constraint_violation',
            CONSTRAINT = 'journal_entry_within_its_hold',
            MESSAGE = format('story %s holds %s %s, of which %s would be captured or released',
                             story.correlation_id, story.held, story.currency, story.taken);
    END IF;
    RETURN NULL;
END
$body$;

CREATE TRIGGER journal_entry_within_its_hold AFTER INSERT ON ledger.journal_entry
REFERENCING NEW TABLE AS posted
FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_more_than_held();

ALTER TABLE ledger.journal_entry ENABLE ALWAYS TRIGGER journal_entry_within_its_hold;

CREATE FUNCTION ledger.refuse_other_adjustment() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
    IF OLD.state = 'OPEN' AND
       (NEW.id, NEW.debit_kind, NEW.debit_owner, NEW.credit_kind, NEW.credit_owner,
        NEW.amount_minor, NEW.currency, NEW.correlation_id, NEW.reason, NEW.proposed_by,
        NEW.proposed_at) IS NOT DISTINCT FROM
       (OLD.id, OLD.debit_kind, OLD.debit_owner, OLD.credit_kind, OLD.credit_owner,
        OLD.amount_minor, OLD.currency, OLD.correlation_id, OLD.reason, OLD.proposed_by,
        OLD.proposed_at) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        CONSTRAINT = 'adjustment_is_decided_as_proposed',
        MESSAGE = 'an adjustment is decided once, and as it was proposed';
END
$body$;

CREATE TRIGGER adjustment_is_decided_as_proposed BEFORE UPDATE ON ledger.adjustment
FOR EACH ROW EXECUTE FUNCTION ledger.refuse_other_adjustment();

ALTER TABLE ledger.adjustment ENABLE ALWAYS TRIGGER adjustment_is_decided_as_proposed;
"""
_UNGUARD = """
DROP TRIGGER adjustment_is_decided_as_proposed ON ledger.adjustment;
DROP FUNCTION ledger.refuse_other_adjustment();
DROP TRIGGER journal_entry_within_its_hold ON ledger.journal_entry;
DROP FUNCTION ledger.refuse_more_than_held();
"""


class Migration(migrations.Migration):
    """Guard holds and adjustments."""

    dependencies = [("ledger", "0003_whole_chart")]

    operations = [
        migrations.RunSQL(_GUARD, _UNGUARD),
        AppendOnly("ledger", "adjustment", update=False),
    ]
