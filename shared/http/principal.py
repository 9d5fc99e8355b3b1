"""Who is calling: all that a view may know about authentication."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView


@dataclass(frozen=True)
class Principal:
    """An authenticated merchant."""

    merchant_id: UUID
    name: str
    email: str
    signs_idempotency_header: bool
    """Whether the signature covers the `Idempotency-Key` header, so that it may be trusted."""

    is_authenticated = True


class IsMerchant(BasePermission):
    """Lets a request pass that was signed by a merchant."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether a merchant signed the request."""
        return isinstance(_user(request), Principal)


def principal_of(request: Request) -> Principal:
    """The merchant behind an authenticated request."""
    principal = _user(request)
    assert isinstance(principal, Principal)  # noqa: S101 - IsMerchant has let it pass
    return principal


def _user(request: Request) -> object:
    # Django's stubs know only Django's own users.
    return request.user
