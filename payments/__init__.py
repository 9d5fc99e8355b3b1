"""
Payments: from an accepted request to a decided payment, and every call to a processor.

Purpose      Accepts payments, has processors authorise, capture, void and refund them, keeps
             their lifecycle and the cards they are paid with.
Owns         payments.payment, payments.operation, payments.status_change, payments.resolution,
             payments.route, payments.circuit_breaker, payments.token
Publishes    Payment.Transaction.Initiated, Payment.Transaction.Authorised,
             Payment.Transaction.Declined, Payment.Transaction.Failed,
             Payment.Transaction.Captured, Payment.Transaction.Voided,
             Payment.Transaction.Expired, Payment.Transaction.Refunded, Payment.Refund.Failed,
             Operator.Action.Taken
Listens to   Fraud.Assessment.Completed, Fraud.Review.Decided
HTTP         /payments, /payments/authorize, /payments/cancel-by-key, /payments/{id}/refunds,
             /payments/{id}/history, /refunds/{id}, /tokens, /processor-callbacks/{processor}
             (and /payments/{id}, its events, captures, voids and refunds, composed by `payflow`)
"""
