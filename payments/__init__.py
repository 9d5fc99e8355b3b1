"""
Payments: from an accepted request to a decided payment, and every call to a processor.

Purpose      Accepts payments, asks processors to authorise them, keeps their lifecycle.
Owns         payments.payment, payments.operation
Publishes    Payment.Transaction.Initiated, Payment.Transaction.Authorised,
             Payment.Transaction.Declined, Payment.Transaction.Failed
Listens to   Fraud.Assessment.Completed, Fraud.Review.Decided
HTTP         /payments, /payments/authorize (and /payments/{id}, composed by `payflow`)
"""
