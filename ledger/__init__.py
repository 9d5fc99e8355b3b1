"""
Ledger: double-entry bookkeeping that the database itself refuses to unbalance.

Purpose      Posts a balanced journal entry for every movement of money; answers balances.
Owns         ledger.account, ledger.journal_entry, ledger.posting
Publishes    Ledger.Entry.Posted
Listens to   Payment.Transaction.Authorised
HTTP         /ledger/journal/{correlationId} (and /ledger/balances, composed by `payflow`)
"""
