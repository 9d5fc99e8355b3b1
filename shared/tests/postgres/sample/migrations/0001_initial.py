from django.db import migrations, models

from shared.postgres.naming import schema_table
from shared.postgres.operations import AppendOnly, CreateSchema


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        CreateSchema("sample"),
        migrations.CreateModel(
            "Author",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=50)),
            ],
            {"db_table": schema_table("sample", "author")},
        ),
        migrations.CreateModel(
            "Entry",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("author", models.ForeignKey("sample.Author", on_delete=models.PROTECT)),
                ("text", models.CharField(max_length=50, unique=True)),
            ],
            {"db_table": schema_table("sample", "entry")},
        ),
        AppendOnly("sample", "entry"),
    )
