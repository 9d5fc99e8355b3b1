"""
The floor: the rows of one payment, written by PostgreSQL alone.

A pgbench script on the same tables, indexes, triggers and constraints, six transactions per
payment, prepared statements, fsync and synchronous_commit on. It is what this machine's PostgreSQL
could do if Python cost nothing. `payflow/tests/contracts/test_bench_floor.py` compares the rows it
leaves with those of a real payment.
"""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from payflow.runtime.bench.ground import Ground
from payflow.runtime.postgres_binaries import find_binaries

CLIENTS = (1, 4, 8, 16)
_DATABASE = "payflow_floor"

SCRIPT = """
-- 1 · the request: idempotency record, payment, first event
BEGIN;
INSERT INTO shared.idempotency_record (merchant_id, key, fingerprint, expires_at)
VALUES (:merchant, gen_random_uuid()::text, sha256(:merchant::bytea), now() + interval '30 days')
RETURNING id AS record, key AS key \\gset
INSERT INTO payments.payment (id, correlation_id, merchant_id, merchant_name, merchant_email,
    payee_account_id, idempotency_key, status, amount_minor, currency, authorised_minor,
    captured_minor, capturing_minor, released_minor, refunded_minor, refunding_minor, is_closing,
    in_doubt, method_type, method_token, method_details, captures_at_once, return_url, processor,
    processor_reference, redirect_url, description, metadata, decline_reason, failure_reason,
    created_at, updated_at)
VALUES (gen_random_uuid(), gen_random_uuid(), :merchant, 'Acme', 'acme@example.com',
    gen_random_uuid(), :key, 'PENDING', 25000, 'USD', 0, 0, 0, 0, 0, 0, false, false, 'CARD',
    'tok_test', '{}', false, '', '', '', '', '', '{}', '', '', now(), now())
RETURNING id AS payment, correlation_id AS story \\gset
INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id, merchant_id,
    occurred_at, payload)
VALUES (gen_random_uuid(), 'Payment.Transaction.Initiated', 1, :story, :payment, :merchant,
    now(), :payload)
RETURNING sequence AS initiated, event_id AS initiated_id \\gset
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
VALUES (:initiated, 'bench.fraud', :story), (:initiated, 'bench.audit', :story);
UPDATE shared.idempotency_record SET subject_id = :payment WHERE id = :record;
END;
-- 2 · fraud: assessment, its event
BEGIN;
DELETE FROM shared.publication WHERE listener_id = 'bench.fraud' AND correlation_id = :story;
INSERT INTO fraud.assessment (id, payment_id, correlation_id, merchant_id, instrument,
    amount_minor, currency, score, decision, hits, created_at, reviewed_by, review_decision,
    review_reason)
VALUES (gen_random_uuid(), :payment, :story, :merchant, 'tok_test', 25000, 'USD', 100,
    'APPROVE', '[]', now(), '', '', '')
RETURNING id AS assessment \\gset
INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id, merchant_id,
    occurred_at, payload)
VALUES (gen_random_uuid(), 'Fraud.Assessment.Completed', 1, :story, :assessment, :merchant,
    now(), :small_payload)
RETURNING sequence AS assessed, event_id AS assessed_id \\gset
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
VALUES (:assessed, 'bench.payments', :story), (:assessed, 'bench.audit', :story);
END;
-- 3 · the decision: payment, operation
BEGIN;
DELETE FROM shared.publication WHERE listener_id = 'bench.payments' AND correlation_id = :story;
SELECT status FROM payments.payment WHERE id = :payment FOR UPDATE;
UPDATE payments.payment SET assessed_at = now(), updated_at = now() WHERE id = :payment;
INSERT INTO payments.operation (id, correlation_id, payment_id, merchant_id, cause_event_id, kind,
    purpose, processor, authorisation_reference, amount_minor, currency, is_final,
    merchant_reason, metadata, outcome, verdict, is_retryable, processor_reference, reason, sends,
    inquiries, late_looks)
VALUES (gen_random_uuid(), :story, :payment, :merchant, :assessed_id, 'AUTHORISE', 'MERCHANT',
    'sandbox', '', 25000, 'USD', true, '', '{}', '', '', false, '', '', 0, 0, 0)
RETURNING id AS operation \\gset
END;
-- 4 · the outcome: operation, payment, event
BEGIN;
UPDATE payments.operation SET attempts = 1, due_at = NULL, outcome = 'APPROVED',
    verdict = 'APPROVED', sends = 1, processor_reference = :operation
WHERE id = :operation;
SELECT status FROM payments.payment WHERE id = :payment FOR UPDATE;
UPDATE payments.payment SET status = 'AUTHORISED', authorised_minor = 25000, authorised_at = now(),
    processor = 'sandbox', processor_reference = :operation,
    capture_before = now() + interval '7 days', updated_at = now()
WHERE id = :payment AND status = 'PENDING';
INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id, merchant_id,
    occurred_at, payload)
VALUES (gen_random_uuid(), 'Payment.Transaction.Authorised', 1, :story, :payment, :merchant,
    now(), :payload)
RETURNING sequence AS authorised, event_id AS authorised_id \\gset
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
VALUES (:authorised, 'bench.ledger', :story), (:authorised, 'bench.notifications', :story),
    (:authorised, 'bench.audit', :story);
END;
-- 5 · the ledger: entry, postings, balances, event
BEGIN;
DELETE FROM shared.publication WHERE listener_id = 'bench.ledger' AND correlation_id = :story;
SELECT id FROM ledger.account WHERE id IN (:held_by, :held_for) ORDER BY id FOR UPDATE;
INSERT INTO ledger.journal_entry (id, event_id, entry_type, correlation_id, merchant_id,
    amount_minor, currency, postings_count, total_minor, created_at)
VALUES (gen_random_uuid(), :authorised_id, 'AUTH', :story, :merchant, 25000, 'USD', 2, 25000,
    now())
RETURNING id AS entry \\gset
INSERT INTO ledger.posting (entry_id, account_id, debit_minor, credit_minor)
VALUES (:entry, :held_by, 25000, 0), (:entry, :held_for, 0, 25000);
UPDATE ledger.account SET balance_minor = balance_minor
    + CASE id WHEN :held_by THEN 25000 ELSE -25000 END
WHERE id IN (:held_by, :held_for);
INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id, merchant_id,
    occurred_at, payload)
VALUES (gen_random_uuid(), 'Ledger.Entry.Posted', 1, :story, :entry, :merchant, now(),
    :small_payload)
RETURNING sequence AS posted, event_id AS posted_id \\gset
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
VALUES (:posted, 'bench.audit', :story);
END;
-- 6 · the message and the trail
BEGIN;
DELETE FROM shared.publication WHERE listener_id = 'bench.notifications'
    AND correlation_id = :story;
INSERT INTO notifications.message (id, correlation_id, event_id, merchant_id, recipient, template,
    context, attempts, due_at, sent_at)
VALUES (gen_random_uuid(), :story, :authorised_id, :merchant, 'acme@example.com',
    'payment_authorised', :payload, 1, NULL, now())
RETURNING id AS message \\gset
INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id, merchant_id,
    occurred_at, payload)
VALUES (gen_random_uuid(), 'Notification.Message.Sent', 1, :story, :message, :merchant,
    now(), :small_payload)
RETURNING sequence AS sent, event_id AS sent_id \\gset
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
VALUES (:sent, 'bench.audit', :story);
DELETE FROM shared.publication WHERE listener_id = 'bench.audit' AND correlation_id = :story;
INSERT INTO audit.record (event_id, event_type, version, correlation_id, subject_id, merchant_id,
    occurred_at, payload, recorded_at)
VALUES (:initiated_id, 'Payment.Transaction.Initiated', 1, :story, :payment, :merchant,
        now(), :payload, now()),
    (:assessed_id, 'Fraud.Assessment.Completed', 1, :story, :assessment, :merchant, now(),
        :small_payload, now()),
    (:authorised_id, 'Payment.Transaction.Authorised', 1, :story, :payment, :merchant,
        now(), :payload, now()),
    (:posted_id, 'Ledger.Entry.Posted', 1, :story, :entry, :merchant, now(),
        :small_payload, now()),
    (:sent_id, 'Notification.Message.Sent', 1, :story, :message, :merchant, now(),
        :small_payload, now());
END;
"""

_PAYLOAD = (
    '{"currency":"USD","processor":"sandbox","payment_id":"019e5c9a-0000-7000-8000-000000000000",'
    '"amount_minor":25000,"merchant_name":"Acme","merchant_email":"acme@example.com",'
    '"payee_account_id":"019e5c9a-0000-7000-8000-000000000001",'
    '"processor_reference":"sbx_019e5c9a000070008000000000000000",'
    '"capture_before":"2026-06-08T00:00:00.000000Z"}'
)
_SMALL_PAYLOAD = (
    '{"score":100,"rules":[],"decision":"APPROVE","risk_score":0,'
    '"payment_id":"019e5c9a-0000-7000-8000-000000000000"}'
)
MERCHANT = "019e5c9a-0000-7000-8000-00000000000a"
HELD_BY = "019e5c9a-0000-7000-8000-00000000000b"
HELD_FOR = "019e5c9a-0000-7000-8000-00000000000c"

OPEN_ACCOUNTS = f"""
INSERT INTO ledger.account (id, kind, owner, currency, balance_minor, created_at)
VALUES ('{HELD_BY}', 'PROCESSOR_PENDING', 'bench', 'USD', 0, now()),
       ('{HELD_FOR}', 'MERCHANT_PENDING', '{MERCHANT}', 'USD', 0, now())
ON CONFLICT DO NOTHING
"""
_TRANSACTIONS_PER_SECOND = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


def measure(ground: Ground, *, seconds: int) -> dict[int, float]:
    """Payments per second by number of clients, in a database of its own on the same server."""
    app_url, owner_url = (
        f"{url.rpartition('/')[0]}/{_DATABASE}"
        for url in (ground.server.app_url, ground.server.owner_url)
    )
    with psycopg.connect(ground.server.owner_url, autocommit=True) as owner:
        owner.execute(f"DROP DATABASE IF EXISTS {_DATABASE}")
        owner.execute(f"CREATE DATABASE {_DATABASE}")
    ground.migrate(app_url, owner_url)
    with psycopg.connect(app_url, autocommit=True) as app:
        app.execute(OPEN_ACCOUNTS)
    binaries, script = find_binaries(), ground.home / "floor.sql"
    return {
        clients: payments_per_second(binaries, app_url, script, clients=clients, seconds=seconds)
        for clients in CLIENTS
    }


def payments_per_second(
    binaries: Path, url: str, script: Path, *, clients: int, seconds: int
) -> float:
    """Run the script with so many clients for so long; one run of the script is one payment."""
    return _rate(_pgbench(binaries, url, script, clients, ["-T", str(seconds)]))


def run_once(binaries: Path, url: str, script: Path) -> None:
    """Write the rows of one payment."""
    _pgbench(binaries, url, script, 1, ["-t", "1"])


def _pgbench(binaries: Path, url: str, script: Path, clients: int, amount: list[str]) -> str:
    script.write_text(SCRIPT)
    address = urlsplit(url)
    command = [
        str(binaries / "pgbench"), "--no-vacuum", "-M", "prepared", "-c", str(clients),
        "-j", str(min(clients, 2)), *amount, "-f", str(script),
        "-D", f"merchant={MERCHANT}", "-D", f"held_by={HELD_BY}", "-D", f"held_for={HELD_FOR}",
        "-D", f"payload={_PAYLOAD}", "-D", f"small_payload={_SMALL_PAYLOAD}",
        "-h", str(address.hostname), "-p", str(address.port), "-U", str(address.username),
        address.path.lstrip("/"),
    ]  # fmt: skip
    environment = {"PGPASSWORD": str(address.password), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if run.returncode != 0 or "failed" in run.stdout.replace("failed transactions: 0 ", ""):
        raise RuntimeError(f"pgbench did not run:\n{run.stdout}\n{run.stderr}")
    return run.stdout


def _rate(output: str) -> float:
    match = _TRANSACTIONS_PER_SECOND.search(output)
    if match is None:
        raise RuntimeError(f"pgbench said no rate:\n{output}")
    return float(match[1])
