"""Where merchants are written to, once that is another address than events carry."""

from datetime import datetime
from uuid import UUID

from django.db import connection, models

from shared.postgres.naming import schema_table

_NOTE = """
INSERT INTO notifications.contact AS contact (merchant_id, email, changed_at) VALUES (%s, %s, %s)
ON CONFLICT (merchant_id) DO UPDATE SET email = excluded.email, changed_at = excluded.changed_at
WHERE contact.changed_at < excluded.changed_at
"""


class ContactQuerySet(models.QuerySet["Contact"]):
    """Writing down the latest address."""

    def note(self, *, merchant_id: UUID, email: str, changed_at: datetime) -> None:
        """Remember an address, unless a later one is known: events may be heard again."""
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, [merchant_id, email, changed_at])


class Contact(models.Model):
    """
    The address of a merchant whose address was changed.

    Events of payments carry the address of the day on which the payment began, for months.
    """

    merchant_id = models.UUIDField(primary_key=True)
    email = models.TextField()
    changed_at = models.DateTimeField()

    objects = ContactQuerySet.as_manager()

    class Meta:
        db_table = schema_table("notifications", "contact")

    def __str__(self) -> str:
        """The address."""
        return self.email
