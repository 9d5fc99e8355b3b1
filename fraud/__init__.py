"""
Fraud: is this payment what it seems?

Purpose      Assesses every payment by weighted rules; keeps the queue for operators.
Owns         fraud.assessment, fraud.rule, fraud.amount_limit, fraud.blocked_value
Publishes    Fraud.Assessment.Completed, Fraud.Review.Decided, Operator.Action.Taken
Listens to   Payment.Transaction.Initiated
HTTP         /fraud/assessments/{paymentId}
"""
