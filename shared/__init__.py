"""
What the modules share: event contracts, the event bus, and a small kernel.

Knows no module. Outside `shared/events/` no file here knows a business word; `merchant_id` may
appear because it is the tenant key.

Owns the schema `shared`: the event registry, idempotency records, scheduled runs, rate limits.
"""
