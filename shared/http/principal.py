"""
Who is calling, and what they have signed: all that a view may know about authentication.

# Note [What must be signed]

A signature that leaves out method and path opens whatever else takes the same body: a recorded
request that was refused, or never arrived, could be sent to another address within its five
minutes. So a change must be signed in all its parts, unless its view says that less will do:

    must_be_signed = {"POST": Signed.BODY}

An endpoint that says nothing is closed to lesser signatures. Reads change nothing and need no more
than any signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING
from uuid import UUID

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from shared.errors import Invalid, NotAllowed

if TYPE_CHECKING:
    from rest_framework.views import APIView


class Signed(Flag):
    """Parts of a request that a signature covers."""

    BODY = auto()
    IDEMPOTENCY_KEY = auto()
    """The header of this name."""
    ADDRESS = auto()
    """The method, and the request target as it was received."""

    ALL = BODY | IDEMPOTENCY_KEY | ADDRESS


class SignatureVersionRequired(Invalid):
    """Sign this request with version 2: version 1 does not cover method and path."""


class MerchantSuspended(NotAllowed):
    """This merchant is suspended: what it has can be read, and nothing changed."""


@dataclass(frozen=True)
class Principal:
    """An authenticated merchant."""

    merchant_id: UUID
    name: str
    email: str
    signed: Signed
    """What the signature covers, and so what of the request may be trusted."""
    credential_id: UUID | None = None
    """The id of the key that signed."""
    is_suspended: bool = False

    is_authenticated = True


class IsMerchant(BasePermission):
    """
    Lets a request pass that was signed by a merchant, in all parts that must be signed.

    Of a suspended merchant, only reads.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether a merchant signed it. Raises: SignatureVersionRequired, MerchantSuspended."""
        caller, method = _user(request), request.method or ""
        if not isinstance(caller, Principal):
            return False
        if method in SAFE_METHODS or method not in view.allowed_methods:
            return True
        if must_be_signed(view, method) not in caller.signed:
            raise SignatureVersionRequired
        if caller.is_suspended:
            raise MerchantSuspended
        return True


def must_be_signed(view: object, method: str) -> Signed:
    """What a signature has to cover to open a view's method. See Note [What must be signed]."""
    if method in SAFE_METHODS:
        return Signed(0)
    declared: Mapping[str, Signed] = getattr(view, "must_be_signed", {})
    return declared.get(method, Signed.ALL)


def principal_of(request: Request) -> Principal:
    """The merchant behind an authenticated request."""
    principal = _user(request)
    assert isinstance(principal, Principal)  # noqa: S101 - IsMerchant has let it pass
    return principal


def _user(request: Request) -> object:
    # Django's stubs know only Django's own users.
    return request.user
