"""
Django's PostgreSQL engine for tables that live in a schema: `ENGINE = "shared.postgres"`.

Settings of a DATABASES entry that only this engine knows:
`SCHEMAS`   the schemas whose tables are ours, beside `public`;
`SQL_WALL`  under test, the module schemas that may not meet in one statement or transaction.
"""
