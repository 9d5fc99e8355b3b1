"""Columns and filters that several lists of the module have."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.urls import reverse
from django.utils.html import format_html

from payments.adapters.registry import processor_names
from payments.models.route import METHODS
from shared.admin import choices_filter
from shared.admin.values import column_of

ProcessorFilter = choices_filter(
    "processor", "processor", lambda: [(name, name) for name in processor_names()]
)
MethodFilter = choices_filter("method", "method_type", lambda: [(name, name) for name in METHODS])


def link(to: type[models.Model], path: str, label: str, *, shows: str = "", text: str = "") -> Any:
    """
    A column that leads to the row whose id is at `path`; it costs no query.

    It shows a text, or the attribute `shows`, or else the id.
    """

    def show(row: Any) -> str:
        where = f"admin:{to._meta.app_label}_{to._meta.model_name}_change"
        address = reverse(where, args=[quote(str(getattr(row, path)))])
        return format_html('<a href="{}">{}</a>', address, text or getattr(row, shows or path))

    show.__name__ = shows or path
    return admin.display(description=label)(show)


def columns(model: type[models.Model], *names: str, badges: Iterable[str] = ()) -> Any:
    """The columns that suit these fields of a model, for an inline."""
    fields = model._meta
    return tuple(column_of(fields.get_field(name), as_badge=name in badges) for name in names)  # type: ignore[arg-type]
