"""Collections in pages: `{"data": […], "nextCursor": …}` with keyset cursors."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from rest_framework.request import Request

from shared import clock
from shared.errors import Invalid
from shared.http.card_numbers import shown as shown_name

Row = TypeVar("Row", bound=Any)

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_MAX_TIE_LENGTH = 36


class InvalidQuery(Invalid):
    """A query parameter is not acceptable."""


@dataclass(frozen=True)
class Page:
    """What the query string asks for: how many rows, after which key, created when."""

    limit: int
    after: tuple[datetime, str] | None
    created_from: datetime | None
    created_to: datetime | None

    @classmethod
    def of(cls, request: Request, *, also: Sequence[str] = ()) -> "Page":
        """Read `limit`, `cursor`, `createdFrom`, `createdTo`. Raises: InvalidQuery."""
        given = request.query_params
        known = {"limit", "cursor", "createdFrom", "createdTo", *also}
        if unknown := sorted(set(given) - known):
            raise InvalidQuery(f"Unknown query parameter: {shown_name(unknown[0])}.")
        if any(len(given.getlist(name)) > 1 or "\0" in given[name] for name in given):
            raise InvalidQuery("A query parameter is given once, without NUL.")
        return cls(
            limit=_limit(given.get("limit")),
            after=_cursor(given.get("cursor")),
            created_from=_instant(given.get("createdFrom"), "createdFrom"),
            created_to=_instant(given.get("createdTo"), "createdTo"),
        )

    def of_rows(
        self,
        rows: QuerySet[Row],
        *,
        key: tuple[str, str],
        newest_first: bool = True,
        shown: Callable[[Row], dict[str, Any]],
    ) -> dict[str, Any]:
        """The page's rows, ordered by `key` (an instant and an id), as a collection."""
        instant, tie = key
        if self.created_from:
            rows = rows.filter(**{f"{instant}__gte": self.created_from})
        if self.created_to:
            rows = rows.filter(**{f"{instant}__lt": self.created_to})
        if self.after:
            rows = _after(rows, key, self.after, newest_first=newest_first)
        sign = "-" if newest_first else ""
        found = list(rows.order_by(sign + instant, sign + tie)[: self.limit + 1])
        following = _encode(found[self.limit - 1], key) if len(found) > self.limit else None
        return {"data": [shown(row) for row in found[: self.limit]], "nextCursor": following}


def _after(
    rows: QuerySet[Row], key: tuple[str, str], after: tuple[datetime, str], *, newest_first: bool
) -> QuerySet[Row]:
    # A row comparison is one range of the index; (a < x OR (a = x AND b < y)) is not.
    fields = [rows.model._meta.get_field(name) for name in key]
    columns = ", ".join(field.column for field in fields)
    comparison = "<" if newest_first else ">"
    try:
        bounds = [field.to_python(value) for field, value in zip(fields, after, strict=True)]
    except ValidationError:
        raise _not_a_cursor() from None
    after_cursor: QuerySet[Row] = rows.alias(
        _after=RawSQL(f"({columns}) {comparison} (%s, %s)", bounds)  # noqa: S611 - our own columns
    ).filter(_after=True)
    return after_cursor


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidQuery(f"limit is a number from 1 to {MAX_LIMIT}.")


def _instant(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        return _utc(text)
    except (ValueError, OverflowError):
        raise InvalidQuery(
            f"{name} is an ISO 8601 instant with a zone, such as 2026-01-31T00:00:00Z."
        ) from None


def _utc(text: str) -> datetime:
    # In UTC, because Python knows offsets that PostgreSQL does not.
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return instant.astimezone(UTC)


def _encode(row: Any, key: tuple[str, str]) -> str:
    instant, tie = getattr(row, key[0]), getattr(row, key[1])
    return base64.urlsafe_b64encode(json.dumps([clock.iso(instant), str(tie)]).encode()).decode()


def _cursor(text: str | None) -> tuple[datetime, str] | None:
    if text is None:
        return None
    try:
        instant, tie = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        if not (isinstance(tie, str) and len(tie) <= _MAX_TIE_LENGTH):
            raise TypeError
        return _utc(instant), tie
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _not_a_cursor() from None


def _not_a_cursor() -> InvalidQuery:
    return InvalidQuery("cursor is the nextCursor of an earlier answer.")
