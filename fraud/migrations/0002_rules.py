"""The rules every installation starts with."""

from typing import Any

from django.db import migrations

RULES = [
    # The source's rule: above 10,000.00 in major units of the payment's currency, decline.
    ("amount-above-limit", "AMOUNT_LIMIT", 100, {"limit": 10_000}, True),
    ("many-payments-with-one-instrument", "VELOCITY", 50, {"seconds": 600, "count": 10}, False),
    ("on-the-blocklist", "BLOCKLIST", 100, {}, False),
]


def seed(apps: Any, schema_editor: Any) -> None:
    """Create the rules; velocity and blocklist start switched off."""
    rules = apps.get_model("fraud", "Rule").objects.using(schema_editor.connection.alias)
    for name, kind, weight, parameters, is_enabled in RULES:
        rules.create(
            name=name, kind=kind, weight=weight, parameters=parameters, is_enabled=is_enabled
        )


def unseed(apps: Any, schema_editor: Any) -> None:
    """Delete them."""
    rules = apps.get_model("fraud", "Rule").objects.using(schema_editor.connection.alias)
    rules.filter(name__in=[name for name, *_ in RULES]).delete()


class Migration(migrations.Migration):
    """Seed the rules."""

    dependencies = [("fraud", "0001_initial")]

    operations = [migrations.RunPython(seed, unseed)]
