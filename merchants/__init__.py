"""
Merchants: who may call, with which keys.

Purpose      Registers merchants; manages their keys; verifies signed requests; lets operators help
             who is locked out.
Owns         merchants.merchant, merchants.api_key
Publishes    Merchant.Account.Registered, Merchant.Account.Suspended, Merchant.Account.Resumed,
             Merchant.Account.ContactChanged, Merchant.ApiKey.Issued, Merchant.ApiKey.Rotated,
             Merchant.ApiKey.ShownAgain, Merchant.ApiKey.Expiring, Merchant.ApiKey.Revoked,
             Merchant.ApiKey.Expired, Operator.Action.Taken
Listens to   nothing
HTTP         /merchants/register, /merchants/me, /merchants/keys…, /sandbox/signature-check
"""
