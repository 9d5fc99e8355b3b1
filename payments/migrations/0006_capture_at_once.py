"""Whether the capture that belongs to taking a payment is open; later captures are no part of it."""

from django.db import migrations, models

_FILL = """
UPDATE payments.payment SET is_capturing_at_once = true
WHERE status = 'AUTHORISED' AND captures_at_once AND EXISTS (
    SELECT FROM payments.operation WHERE operation.payment_id = payment.id
    AND operation.purpose = 'AT_ONCE' AND operation.verdict = '')
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0005_tokens"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="is_capturing_at_once",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The capture that belongs to taking it is open.",
            ),
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
