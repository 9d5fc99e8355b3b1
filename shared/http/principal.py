"""Who is calling: all that a view may know about authentication."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from shared.errors import NotAllowed

if TYPE_CHECKING:
    from rest_framework.views import APIView


class MerchantSuspended(NotAllowed):
    """This merchant is suspended: what it has can be read, and nothing changed."""


@dataclass(frozen=True)
class Principal:
    """An authenticated merchant."""

    merchant_id: UUID
    name: str
    email: str
    signs_idempotency_header: bool
    """Whether the signature covers the `Idempotency-Key` header, so that it may be trusted."""
    credential_id: UUID | None = None
    """The id of the key that signed."""
    is_suspended: bool = False

    is_authenticated = True


class IsMerchant(BasePermission):
    """Lets a request pass that was signed by a merchant; of a suspended one, only reads."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether a merchant signed the request. Raises: MerchantSuspended."""
        user = _user(request)
        if isinstance(user, Principal) and user.is_suspended and _is_change(request):
            raise MerchantSuspended
        return isinstance(user, Principal)


def principal_of(request: Request) -> Principal:
    """The merchant behind an authenticated request."""
    principal = _user(request)
    assert isinstance(principal, Principal)  # noqa: S101 - IsMerchant has let it pass
    return principal


def _is_change(request: Request) -> bool:
    return request.method not in SAFE_METHODS


def _user(request: Request) -> object:
    # Django's stubs know only Django's own users.
    return request.user
