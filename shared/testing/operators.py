"""An operator's side of the admin: logged in, looking at lists, taking actions."""

from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

HOSTILE_TERMS = (
    "'; --",
    "nul\0nul",
    "x" * 5000,
    "019283b4-0000-7000-8000-000000000000",
    "%_\\",
    "🧨",
    "{{ 7 }}<script>",
)


def _operator() -> User:
    return User.objects.filter(username="olga").first() or User.objects.create_superuser("olga")


@dataclass
class OperatorClient:
    """A browser in which the operator `olga`, or another person, is logged in."""

    user: User = field(default_factory=_operator)
    client: Client = field(default_factory=Client)

    def __post_init__(self) -> None:
        self.client.force_login(self.user)

    @classmethod
    def who_may_only_view(cls) -> "OperatorClient":
        """Staff who may look at everything and change nothing."""
        user = User.objects.create_user("vera", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        return cls(user)

    def list(self, model: type[Model], **parameters: str) -> Any:
        """The list of a model's rows."""
        return self.client.get(address(model, "changelist"), parameters)

    def page(self, row: Model) -> Any:
        """The page of a row."""
        return self.client.get(address(type(row), "change", row.pk))

    def save(self, row: Model, **values: object) -> Any:
        """Post the page of a row."""
        return self.client.post(address(type(row), "change", row.pk), values)

    def add(self, model: type[Model], **values: object) -> Any:
        """Post the page of a new row."""
        return self.client.post(address(model, "add"), values)

    def choose(self, action: str, *rows: Model, **parameters: str) -> Any:
        """Choose an action for rows; the answer asks for a reason."""
        return self._act(action, rows, {"index": "0"}, parameters)

    def act(self, action: str, *rows: Model, reason: str = "because", **parameters: str) -> str:
        """Take an action with a reason; what the next page says."""
        answer = self._act(action, rows, {"confirmed": "yes", "reason": reason}, parameters)
        return text(answer)

    def post(self, action: str, *rows: Model, **given: str) -> Any:
        """Post an action with whatever its form takes; the answer itself, followed nowhere."""
        chosen = {ACTION_CHECKBOX_NAME: [str(row.pk) for row in rows], "action": action}
        return self.client.post(address(type(rows[0]), "changelist"), chosen | given)

    def _act(self, action: str, rows: Any, more: dict[str, str], parameters: Any) -> Any:
        chosen = {ACTION_CHECKBOX_NAME: [str(row.pk) for row in rows], "action": action}
        # Django's client cannot follow a redirect of a POST that had query parameters of its own.
        query = f"?{urlencode(parameters)}" if parameters else ""
        where = address(type(rows[0]), "changelist") + query
        answer = self.client.post(where, chosen | more)
        return self.client.get(answer.headers["Location"]) if answer.status_code == 302 else answer


def address(model: type[Model], page: str, *arguments: object) -> str:
    """Where a page of the admin is."""
    # As the admin's own links do: an underscore in a key would be read as an escape.
    quoted = [quote(str(argument)) for argument in arguments]
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=quoted)


def text(answer: Any) -> str:
    """The page as text, after checking that there is one."""
    assert answer.status_code == 200, answer.content[:500]
    return unescape(answer.content.decode())


def withstands_hostile_terms(operator: OperatorClient, model: type[Model]) -> None:
    """Assert that a list can be searched for anything."""
    for term in HOSTILE_TERMS:
        answer = operator.list(model, q=term)
        assert answer.status_code == 200, (model, term[:20], answer.status_code)


def refuses_changes(operator: OperatorClient, row: Model) -> None:
    """Assert that a row can be looked at and neither changed, added nor deleted."""
    assert operator.page(row).status_code == 200
    assert 'name="_save"' not in text(operator.page(row))
    assert operator.save(row, status="x").status_code == 403
    assert operator.add(type(row)).status_code == 403
    deletion = operator.client.post(address(type(row), "delete", row.pk), {"post": "yes"})
    assert deletion.status_code == 403
    assert type(row)._default_manager.filter(pk=row.pk).exists()
