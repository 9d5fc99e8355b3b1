"""The trail never changes."""

from django.db import migrations

from shared.postgres.operations import AppendOnly


class Migration(migrations.Migration):
    """Refuse UPDATE, DELETE and TRUNCATE of records."""

    dependencies = [("audit", "0001_initial")]

    operations = [AppendOnly("audit", "record")]
