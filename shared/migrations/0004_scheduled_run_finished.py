"""A job that was begun is not a job that was done."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Runs of before were recorded as taken; they count as done."""

    dependencies = [("shared", "0003_event_publication_time")]

    operations = [
        migrations.AddField(
            model_name="scheduledrun",
            name="finished_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(
            "UPDATE shared.scheduled_run SET finished_at = started_at", migrations.RunSQL.noop
        ),
    ]
