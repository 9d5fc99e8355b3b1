"""
Ledger: double-entry bookkeeping that the database itself refuses to unbalance.

Purpose      Posts a balanced journal entry for every movement of money; answers balances.
Owns         ledger.account, ledger.journal_entry, ledger.posting, ledger.adjustment
Publishes    Ledger.Entry.Posted, Operator.Action.Taken
Listens to   Payment.Transaction.Authorised, Payment.Transaction.Captured,
             Payment.Transaction.Voided, Payment.Transaction.Expired, Payment.Transaction.Refunded
HTTP         /ledger/journal/{correlationId} (and /ledger/balances, composed by `payflow`)
"""
