"""
Whether the role that serves is kept from rewriting the journal and the trail.

A process that serves is not told the owner's password, so it cannot compare two URLs: it asks
PostgreSQL whether its own role owns the tables.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db.backends.signals import connection_created

log = structlog.get_logger(__name__)

# True also for a superuser and for any member of the role that owns them: not 'USAGE', as even one
# that does not inherit its rights may take them with SET ROLE.
_OWNS_TABLES = """
SELECT current_user, EXISTS (
    SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = ANY(%s) AND relkind IN ('r', 'p') AND pg_has_role(relowner, 'MEMBER')
)
"""
_ADVICE = (
    "serve as another role than the one that owns the tables, or say"
    " PAYFLOW_SINGLE_DATABASE_ROLE=yes and do without that protection."
)


def refuse_to_serve_as_owner() -> None:
    """
    Called by every process that serves, when it starts; asks in production only.

    A database that cannot be reached now is no reason to end. It is asked as soon as it can be, and
    a connection whose role owns the tables is then refused.

    Raises:
        ImproperlyConfigured: the role of DATABASE_URL owns the tables, and nobody said it should.

    """
    if not settings.OWNER_MUST_BE_APART:
        return
    try:
        _refuse_owner(connection)
    except OperationalError as trouble:
        log.warning("database role not looked at yet", reason=str(trouble).strip())
        connection_created.connect(_look_at_new, dispatch_uid=__name__)
    finally:
        connection.close()  # This thread may never need it again.


def _look_at_new(connection: Any, **_: Any) -> None:
    if connection.alias != DEFAULT_DB_ALIAS:
        return
    try:
        _refuse_owner(connection)
    except ImproperlyConfigured:
        connection.close()
        raise


def _refuse_owner(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_OWNS_TABLES, [settings.SCHEMAS])
        role, owns = cursor.fetchone()
    if owns:
        raise ImproperlyConfigured(f"DATABASE_URL: the role {role} owns the tables; {_ADVICE}")


@checks.register(checks.Tags.database)
def owner_is_named(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.Error]:
    """`manage.py migrate` makes tables: in production never as the role that serves."""
    is_as_it_should = not settings.OWNER_MUST_BE_APART or settings.HAS_OWNER_URL
    if not databases or is_as_it_should:
        return []
    return [checks.Error(f"DATABASE_OWNER_URL is not set: {_ADVICE}", id="payflow.E001")]
