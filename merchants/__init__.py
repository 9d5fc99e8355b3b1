"""
Merchants: who may call, with which keys.

Purpose      Registers merchants; manages their keys; verifies signed requests.
Owns         merchants.merchant, merchants.api_key
Publishes    Merchant.Account.Registered, Merchant.ApiKey.Rotated, Merchant.ApiKey.Revoked,
             Merchant.ApiKey.Expired, Operator.Action.Taken
Listens to   nothing
HTTP         /merchants/register, /merchants/me, /merchants/keys…, /sandbox/signature-check
"""
