"""Actions that ask why, on a page of their own, and then call a use case row by row."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.deconstruct import deconstructible

from shared import clock
from shared.errors import DomainError
from shared.http.card_numbers import contains_card_number

log = structlog.get_logger(__name__)

MAX_ROWS_PER_ACTION = 500
"""Each row is a hidden field of the page; Django takes 1,000 fields."""
MAX_ROWS_SHOWN = 20
MAX_REASON_LENGTH = 500


@dataclass(frozen=True)
class Operator:
    """Who acts, why, and when."""

    actor: str
    reason: str
    now: datetime


Act = Callable[[Any, Any, Operator], object]
"""(admin class, row, operator) → done, or a DomainError that says why not."""

Action = Callable[[Any, HttpRequest, QuerySet[Any]], Any]
"""(admin class, request, chosen rows) → what Django's admin takes from an action."""


@deconstructible
class NoCardNumber:
    """A validator that refuses texts with a card number in them: reasons are kept for ever."""

    def __call__(self, text: str) -> None:
        """Raises: ValidationError."""
        if contains_card_number(text):
            raise ValidationError("This looks like a card number, which must not be stored here.")


class ReasonForm(forms.Form):
    """Why an operator does something."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        validators=[NoCardNumber()],
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text="Kept in the audit trail with your name. No card numbers, no secrets.",
        error_messages={"required": "Say why: the audit trail keeps it."},
    )


def asks_reason(label: str, *, consequence: str) -> Callable[[Act], Action]:
    """
    Turn a method `(self, row, operator)` into an action that first asks for a reason.

    The method runs once per chosen row and calls a use case, which opens its own transaction and
    tells the audit trail; what it refuses is shown as a message, and the other rows are done.
    `consequence` says on the page what will happen.
    """

    def decorate(act: Act) -> Action:
        def action(model_admin: Any, request: HttpRequest, chosen: QuerySet[Any]) -> Any:
            form = ReasonForm(request.POST if "confirmed" in request.POST else None)
            if not form.is_valid():
                about = {"form": form, "label": label, "consequence": consequence}
                return _page(model_admin, request, chosen, {**about, "action": act.__name__})
            _run(model_admin, request, act, label, form.cleaned_data["reason"])
            return None

        action.__name__, action.__doc__ = act.__name__, act.__doc__
        described: Action = admin.action(description=label, permissions=["operate"])(action)
        return described

    return decorate


def _page(
    model_admin: Any, request: HttpRequest, chosen: QuerySet[Any], about: dict[str, Any]
) -> TemplateResponse | None:
    rows = list(chosen[: MAX_ROWS_PER_ACTION + 1])
    if not 0 < len(rows) <= MAX_ROWS_PER_ACTION:
        message = f"Choose between 1 and {MAX_ROWS_PER_ACTION} rows."
        model_admin.message_user(request, message, messages.ERROR)
        return None
    context = {
        **model_admin.admin_site.each_context(request),
        **about,
        "title": f"{about['label']}: {_counted(len(rows), model_admin.opts)}",
        "opts": model_admin.opts,
        "rows": rows,
        "rows_shown": rows[:MAX_ROWS_SHOWN],
        "rows_left_out": max(0, len(rows) - MAX_ROWS_SHOWN),
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "shared/admin/reason.html", context)


def _run(model_admin: Any, request: HttpRequest, act: Act, label: str, reason: str) -> None:
    # The rows that were named on the page, not what the list's filter finds now: a row that left
    # the list meanwhile must be refused by its use case, not overlooked.
    chosen_ids = request.POST.getlist(ACTION_CHECKBOX_NAME)[:MAX_ROWS_PER_ACTION]
    rows = list(model_admin.get_queryset(request).filter(pk__in=chosen_ids))
    operator = Operator(request.user.get_username(), reason, clock.now())
    refusals = Counter(_refusal(act, model_admin, row, operator) for row in rows)
    done = refusals.pop(None, 0)
    if gone := len(set(chosen_ids)) - len(rows):
        refusals["Nothing left to do: it is gone."] = gone
    opts = model_admin.opts
    if done:
        model_admin.message_user(request, f"{label}: {_counted(done, opts)}.", messages.SUCCESS)
    for refusal, count in refusals.items():
        text = f"{label}: not for {_counted(count, opts)}. {refusal}"
        model_admin.message_user(request, text, messages.ERROR)


def _refusal(act: Act, model_admin: Any, row: Any, operator: Operator) -> str | None:
    try:
        act(model_admin, row, operator)
    except DomainError as refusal:
        return refusal.detail
    except DatabaseError as error:
        log.warning("an operator's action failed", row=str(row.pk), reason=str(error))
        return "The database could not do it now; please try again."
    return None


def _counted(count: int, opts: Any) -> str:
    return f"{count} {opts.verbose_name if count == 1 else opts.verbose_name_plural}"
