"""The books never change, and no entry commits unbalanced."""

from django.db import migrations

from shared.postgres.operations import AppendOnly

# Deferred, so that an entry and its postings may be written in any order before the commit. On
# both tables: a trigger on postings alone lets an entry without postings pass, one on entries alone
# lets a balanced pair be added to a committed entry.
_GUARD = """
CREATE FUNCTION ledger.refuse_unbalanced(entry_key uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
DECLARE
    entry record;
    found record;
BEGIN
    SELECT postings_count, total_minor, currency INTO STRICT entry
    FROM ledger.journal_entry WHERE id = entry_key;
    SELECT count(*) AS postings, sum(debit_minor) AS debits, sum(credit_minor) AS credits,
           bool_and(account.currency = entry.currency) AS is_one_currency INTO found
    FROM ledger.posting JOIN ledger.account ON account.id = posting.account_id
    WHERE posting.entry_id = entry_key;
    IF found.postings = entry.postings_count AND found.debits = entry.total_minor
       AND found.credits = entry.total_minor AND found.is_one_currency THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'integrity_constraint_violation',
        CONSTRAINT = 'journal_entry_balances',
        MESSAGE = format('journal entry %s declares %s postings of %s %s, has %s: debits %s, credits %s',
                         entry_key, entry.postings_count, entry.total_minor, entry.currency,
                         found.postings, coalesce(found.debits, 0), coalesce(found.credits, 0));
END
$body$;

CREATE FUNCTION ledger.check_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN PERFORM ledger.refuse_unbalanced(NEW.id); RETURN NULL; END
$body$;

CREATE FUNCTION ledger.check_posting() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN PERFORM ledger.refuse_unbalanced(NEW.entry_id); RETURN NULL; END
$body$;

CREATE CONSTRAINT TRIGGER journal_entry_balances AFTER INSERT ON ledger.journal_entry
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.check_entry();

CREATE CONSTRAINT TRIGGER posting_balances AFTER INSERT ON ledger.posting
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.check_posting();

ALTER TABLE ledger.journal_entry ENABLE ALWAYS TRIGGER journal_entry_balances;
ALTER TABLE ledger.posting ENABLE ALWAYS TRIGGER posting_balances;
"""
_UNGUARD = """
DROP TRIGGER posting_balances ON ledger.posting;
DROP TRIGGER journal_entry_balances ON ledger.journal_entry;
DROP FUNCTION ledger.check_posting();
DROP FUNCTION ledger.check_entry();
DROP FUNCTION ledger.refuse_unbalanced(uuid);
"""


class Migration(migrations.Migration):
    """Append-only entries and postings, checked at commit."""

    dependencies = [("ledger", "0001_initial")]

    operations = [
        AppendOnly("ledger", "journal_entry"),
        AppendOnly("ledger", "posting"),
        migrations.RunSQL(_GUARD, _UNGUARD),
    ]
