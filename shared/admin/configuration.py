"""Rows that are configuration: edited here, each change with a reason and through a use case."""

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest

from shared import clock
from shared.admin.reasons import MAX_REASON_LENGTH, NoCardNumber, Operator
from shared.admin.rows import OperatorAdmin


class SettingForm(forms.ModelForm):  # type: ignore[type-arg]
    """A setting and why it is changed."""

    why = forms.CharField(
        label="Reason for this change",
        max_length=MAX_REASON_LENGTH,
        validators=[NoCardNumber()],
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        help_text="Kept in the audit trail with your name.",
        error_messages={"required": "Say why: the audit trail keeps it."},
    )


class SettingAdmin(OperatorAdmin):
    """
    Settings: added and changed with a reason, through the use case that `store` calls.

    Taking one away is an action of the subclass, which says what follows from it.
    """

    form = SettingForm
    settled: ClassVar[tuple[str, ...]] = ()
    """What a setting is known by: chosen once, and not changed afterwards."""

    def store(self, setting: Any, operator: Operator) -> None:
        """Call the use case that stores a setting, new or changed."""
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: Django's own way of deleting asks for no reason."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is settled."""
        return self.settled if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store it, in the transaction of Django's own log."""
        operator = Operator(request.user.get_username(), form.cleaned_data["why"], clock.now())
        self.store(obj, operator)
