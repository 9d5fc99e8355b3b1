"""What the database itself keeps true about the machinery's rows."""

from django.db import migrations

from shared.postgres.operations import AppendOnly


class Migration(migrations.Migration):
    """Events never change; buckets are not worth a write-ahead log; publications churn."""

    dependencies = [("shared", "0001_initial")]

    operations = [
        AppendOnly("shared", "event", delete=False),
        # Losing rate limits in a crash is harmless, and every request would pay for keeping them.
        migrations.RunSQL(
            "ALTER TABLE shared.rate_bucket SET UNLOGGED",
            "ALTER TABLE shared.rate_bucket SET LOGGED",
        ),
        # A queue: every row is inserted, updated and deleted within a second. Vacuum by number of
        # dead rows, not by share of a table whose size swings.
        migrations.RunSQL(
            "ALTER TABLE shared.publication SET (autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)",
            "ALTER TABLE shared.publication RESET (autovacuum_vacuum_scale_factor,"
            " autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)",
        ),
    ]
