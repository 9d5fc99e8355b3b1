"""What the serving role may do: read and write rows, except what append-only tables refuse."""

import logging
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from shared.postgres.naming import split

logger = logging.getLogger(__name__)

OWNER_ALIAS = "owner"
REFUSABLE = frozenset({"UPDATE", "DELETE"})

_GRANTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "REVOKE TRUNCATE ON ALL TABLES IN SCHEMA {schema} FROM {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
)


class UnknownRefusal(ValueError):
    """A model's `append_only` names something other than UPDATE and DELETE."""


def grant_after_migrate(sender: Any, using: str, **kwargs: Any) -> None:
    """
    Grant the app's role its rights after `migrate`: a receiver of `post_migrate`.

    Connect it with one app as the sender, since Django sends the signal once per app. It acts only
    on the owner's connection, and not after `flush`, which sends the signal too (without a plan)
    and changes no table's rights.
    """
    if using == OWNER_ALIAS and "plan" in kwargs:
        grant_app_role(connections[using], settings.APP_ROLE)


def grant_app_role(
    connection: BaseDatabaseWrapper, role: str, models: Iterable[type[Model]] | None = None
) -> None:
    """
    Grant a role what serving needs, on SCHEMAS and `public`, and revoke what append-only refuses.

    A model says which verbs its table refuses by `append_only = frozenset({"UPDATE", "DELETE"})`;
    TRUNCATE is granted on no table. May be repeated; everything commits together, so a running
    server never has more rights in between. `SELECT … FOR UPDATE` needs the UPDATE right, so rows
    of a table that refuses UPDATE cannot be locked by the role either.

    Does nothing, and logs why, when the role is the connection's own user or does not exist.
    Raises: UnknownRefusal.
    """
    refusals = _refusals(apps.get_models() if models is None else models)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if not _is_another_role(cursor, role):
            return
        for schema in _existing_schemas(connection, cursor):
            _execute(cursor, _GRANTS, schema=schema, role=role)
        for table, verbs in refusals.items():
            _revoke(cursor, table, verbs, role)


def _refusals(models: Iterable[type[Model]]) -> dict[str, frozenset[str]]:
    refusals: dict[str, frozenset[str]] = {}
    for model in models:
        verbs = frozenset(getattr(model, "append_only", frozenset()))
        if not verbs <= REFUSABLE:
            raise UnknownRefusal(f"{model._meta.label}.append_only: {sorted(verbs - REFUSABLE)}")
        if verbs:
            refusals[model._meta.db_table] = verbs
    return refusals


def _is_another_role(cursor: CursorWrapper, role: str) -> bool:
    cursor.execute("SELECT current_user, to_regrole(quote_ident(%s)) IS NOT NULL", [role])
    user, exists = cursor.fetchone()
    if user == role:
        logger.info("No grants: the app serves as %s, the owner of the tables.", role)
    elif not exists:
        logger.warning("No grants: there is no role %s.", role)
    return bool(exists) and user != role


def _existing_schemas(connection: BaseDatabaseWrapper, cursor: CursorWrapper) -> list[str]:
    wanted = ["public", *connection.settings_dict.get("SCHEMAS", [])]
    cursor.execute("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s)", [wanted])
    existing = {name for (name,) in cursor.fetchall()}
    for schema in wanted:
        if schema not in existing:
            logger.info("No grants on schema %s: it does not exist yet.", schema)
    return [schema for schema in wanted if schema in existing]


def _revoke(cursor: CursorWrapper, table: str, verbs: frozenset[str], role: str) -> None:
    quoted = table if all(split(table)) else f'"{table}"'
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [quoted])
    if not cursor.fetchone()[0]:
        logger.info("Nothing to revoke on %s: it does not exist yet.", table)
        return
    names = ", ".join(sorted(verbs))
    _execute(cursor, [f"REVOKE {names} ON {quoted} FROM {{role}}"], role=role)
    _warn_if_still_allowed(cursor, quoted, verbs, role)


def _warn_if_still_allowed(
    cursor: CursorWrapper, table: str, verbs: frozenset[str], role: str
) -> None:
    # Rights also come from PUBLIC, from roles it is a member of, and from being a superuser.
    for verb in sorted(verbs):
        cursor.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, verb])
        if cursor.fetchone()[0]:
            logger.error("Role %s may still %s on %s: check its other roles.", role, verb, table)


def _execute(cursor: CursorWrapper, templates: Iterable[str], **names: str) -> None:
    quote_name = cursor.db.ops.quote_name
    quoted = {key: quote_name(name) for key, name in names.items()}
    for template in templates:
        cursor.execute(template.format(**quoted))
