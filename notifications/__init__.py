"""
Notifications: telling merchants what happened.

Purpose      Writes an e-mail for what a merchant must know, and sends it with retries.
Owns         notifications.message, notifications.contact
Publishes    Notification.Message.Sent, Notification.Delivery.Exhausted
Listens to   Payment.Transaction.Authorised, Payment.Transaction.Declined,
             Payment.Transaction.Failed, Payment.Transaction.Captured,
             Payment.Transaction.Voided, Payment.Transaction.Expired,
             Payment.Transaction.Refunded, Payment.Refund.Failed, Merchant.Account.Registered,
             Merchant.Account.Suspended, Merchant.Account.Resumed, Merchant.Account.ContactChanged,
             Merchant.ApiKey.Issued, Merchant.ApiKey.Rotated, Merchant.ApiKey.ShownAgain,
             Merchant.ApiKey.Expiring, Merchant.ApiKey.Revoked, Merchant.ApiKey.Expired
HTTP         nothing yet
"""
