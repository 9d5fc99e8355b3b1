"""
Notifications: telling merchants what happened.

Purpose      Writes an e-mail for what a merchant must know, and sends it with retries.
Owns         notifications.message
Publishes    Notification.Message.Sent, Notification.Delivery.Exhausted
Listens to   Payment.Transaction.Authorised, Payment.Transaction.Declined,
             Payment.Transaction.Failed, Merchant.ApiKey.Rotated
HTTP         nothing yet
"""
