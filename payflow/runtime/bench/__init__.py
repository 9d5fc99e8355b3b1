"""
`make bench`: what the platform does per second, beside what PostgreSQL alone could do.

Everything is measured side by side in one run on one embedded PostgreSQL (fsync on): this machine
is not that one, so only the ratios travel.
"""
