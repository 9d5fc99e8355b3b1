"""
Audit: what happened, in order, for ever.

Purpose      Records every event of the platform in an append-only trail.
Owns         audit.record
Publishes    nothing
Listens to   every event
HTTP         /audit/events (and /payments/{id}/events, composed by `payflow`)
"""
