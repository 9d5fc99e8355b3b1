"""How values look in the admin: amounts, instants, statuses, JSON and long texts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.db import models
from django.utils.html import format_html
from django.utils.text import capfirst

from shared.money import UnknownCurrency, format_amount

Column = Callable[[Any], Any]

NOTHING = "–"


def money(name: str, *, currency: str = "currency", label: str = "") -> Column:
    """A column of minor units as an amount of its currency; `currency` may be a dotted path."""
    currency_of = attrgetter(currency)

    def show(row: Any) -> str:
        amount_minor = getattr(row, name)
        return NOTHING if amount_minor is None else _amount(amount_minor, currency_of(row))

    return _column(show, name, label or name.removesuffix("_minor"))


def badge(name: str) -> Column:
    """A column of words with a coloured dot, such as statuses."""
    return _column(lambda row: badge_of(getattr(row, name)), name)


def column_of(field: "models.Field[Any, Any]", *, as_badge: bool) -> Column | str:
    """The column that suits a model's field, or its name where Django's own does."""
    name = field.name
    show = _of_kind(field)
    if as_badge:
        return badge(name)
    if name.endswith("_minor") and hasattr(field.model, "currency"):
        return money(name)
    return _column(lambda row: show(getattr(row, name)), name) if show else name


def instant(value: datetime | None) -> str:
    """`2026-01-31 14:05:09`, in UTC; a dash for none."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if value else NOTHING


def badge_of(value: str) -> str:
    """A word with a dot whose colour says what it means; a dash for none."""
    if not value:
        return NOTHING
    return format_html('<span class="badge badge-{}">{}</span>', value.lower(), value)


def _of_kind(field: "models.Field[Any, Any]") -> Callable[[Any], str] | None:
    if field.name == "last_error":
        return _preformatted
    kinds: tuple[tuple[type[models.Field[Any, Any]], Callable[[Any], str]], ...] = (
        (models.DateTimeField, instant),
        (models.BooleanField, _yes_or_no),
        (models.JSONField, _json),
    )
    return next((show for kind, show in kinds if isinstance(field, kind)), None)


def _column(show: Column, name: str, label: str = "") -> Column:
    # Django takes the CSS classes of a column from the function's name.
    show.__name__ = name
    described = admin.display(description=_label(label or name), ordering=name)
    return described(show)


def _label(name: str) -> str:
    return capfirst(name.replace("_", " "))


def _amount(amount_minor: int, currency: str) -> str:
    try:
        return f"{format_amount(amount_minor, currency)} {currency}"
    except UnknownCurrency:
        return f"{amount_minor} minor units of {currency}"


def _yes_or_no(value: object) -> str:
    # Django's icons are a green tick and a red cross, whichever of the two is good news.
    return "yes" if value else "no"


def _json(value: object) -> str:
    return _preformatted(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _preformatted(text: str) -> str:
    return format_html('<pre class="verbatim">{}</pre>', text) if text else NOTHING
