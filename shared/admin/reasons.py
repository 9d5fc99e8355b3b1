"""Actions that ask why, on a page of their own, and then call a use case row by row."""

from collections import Counter
from collections.abc import Callable, Sequence
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


Act = Callable[..., object]
"""(admin class, row, operator, **what else the form asks) → done, or a DomainError: why not."""

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
    """
    Why an operator does something.

    A subclass may ask for more: what its fields are given reaches the action's method by their
    names. `rows` are those that were chosen, for what `clean` has to know about them.
    """

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        validators=[NoCardNumber()],
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text="Kept in the audit trail with your name. No card numbers, no secrets.",
        error_messages={"required": "Say why: the audit trail keeps it."},
    )

    def __init__(self, *given: Any, rows: Sequence[Any] = ()) -> None:
        """Take what was given, or nothing yet, about rows."""
        super().__init__(*given)
        self.rows = rows


def asks_reason(
    label: str,
    *,
    consequence: str,
    afterwards: str = "",
    form_class: type[ReasonForm] = ReasonForm,
    shown_on: str = "",
) -> Callable[[Act], Action]:
    """
    Turn a method `(self, row, operator)` into an action that first asks for a reason.

    The method runs once per chosen row and calls a use case, which opens its own transaction and
    tells the audit trail; what it refuses is shown as a message, and the other rows are done.
    `consequence` says on the page what will happen, `afterwards` what is still to be done when it
    has. A `form_class` with more fields hands them to the method as keywords. What the method
    returns is dropped, unless `shown_on` names a template: then the answer to the form is that
    page, with the results as `shown`. They are kept nowhere, so it shows them exactly once.
    """

    def decorate(act: Act) -> Action:
        def action(model_admin: Any, request: HttpRequest, chosen: QuerySet[Any]) -> Any:
            is_confirmed = "confirmed" in request.POST
            # Once confirmed, the rows that were named on the page, not what the list's filter finds
            # now: a row that left the list must be refused by its use case, not overlooked.
            rows = (
                _rows_named(model_admin, request)
                if is_confirmed
                else list(chosen[: MAX_ROWS_PER_ACTION + 1])
            )
            form = form_class(request.POST if is_confirmed else None, rows=rows)
            if not form.is_valid():
                about = {"form": form, "label": label, "consequence": consequence}
                return _page(model_admin, request, rows, {**about, "action": act.__name__})
            run = _Run(model_admin, request, label, afterwards)
            shown = run.through(rows, act, form.cleaned_data)
            return run.page(shown_on, shown) if shown_on and shown else None

        action.__name__, action.__doc__ = act.__name__, act.__doc__
        described: Action = admin.action(description=label, permissions=["operate"])(action)
        return described

    return decorate


def _rows_named(model_admin: Any, request: HttpRequest) -> list[Any]:
    return list(model_admin.get_queryset(request).filter(pk__in=_ids_named(request)))


def _ids_named(request: HttpRequest) -> list[str]:
    return request.POST.getlist(ACTION_CHECKBOX_NAME)[:MAX_ROWS_PER_ACTION]


def _page(
    model_admin: Any, request: HttpRequest, rows: list[Any], about: dict[str, Any]
) -> TemplateResponse | None:
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


@dataclass(frozen=True)
class _Run:
    """An action on its way through the rows, telling the operator how it went."""

    model_admin: Any
    request: HttpRequest
    label: str
    afterwards: str

    def through(self, rows: Sequence[Any], act: Act, given: dict[str, Any]) -> list[object]:
        more = {name: value for name, value in given.items() if name != "reason"}
        operator = Operator(self.request.user.get_username(), given["reason"], clock.now())
        results: list[object] = []
        refusals = Counter(self._refusal(act, row, operator, more, results) for row in rows)
        done = refusals.pop(None, 0)
        if gone := len(set(_ids_named(self.request))) - len(rows):
            refusals["Nothing left to do: it is gone."] = gone
        if done:
            self._say(f"{self._of(done)}. {self.afterwards}".strip(), messages.SUCCESS)
        for refusal, count in refusals.items():
            self._say(f"not for {self._of(count)}. {refusal}", messages.ERROR)
        return results

    def page(self, template: str, shown: Sequence[object]) -> TemplateResponse:
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "title": self.label,
            "opts": self.model_admin.opts,
            "shown": shown,
        }
        return TemplateResponse(self.request, template, context)

    def _refusal(
        self,
        act: Act,
        row: Any,
        operator: Operator,
        more: dict[str, Any],
        results: list[object],
    ) -> str | None:
        try:
            results.append(act(self.model_admin, row, operator, **more))
        except DomainError as refusal:
            return refusal.detail
        except DatabaseError as error:
            log.warning("an operator's action failed", row=str(row.pk), reason=str(error))
            return "The database could not do it now; please try again."
        return None

    def _of(self, count: int) -> str:
        return _counted(count, self.model_admin.opts)

    def _say(self, text: str, level: int) -> None:
        self.model_admin.message_user(self.request, f"{self.label}: {text}", level)


def _counted(count: int, opts: Any) -> str:
    return f"{count} {opts.verbose_name if count == 1 else opts.verbose_name_plural}"
