"""What must be signed: everything of a change, unless its view says that less will do."""

from typing import ClassVar
from uuid import uuid4

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from shared.http.principal import (
    IsMerchant,
    Principal,
    SignatureVersionRequired,
    Signed,
    must_be_signed,
)

CHANGES = ("POST", "PUT", "PATCH", "DELETE")
LESSER = (Signed(0), Signed.BODY, Signed.BODY | Signed.IDEMPOTENCY_KEY, Signed.ADDRESS)


class Silent(APIView):
    """Says nothing of signatures."""

    def get(self, request: Request) -> None: ...
    def post(self, request: Request) -> None: ...
    def put(self, request: Request) -> None: ...
    def patch(self, request: Request) -> None: ...
    def delete(self, request: Request) -> None: ...


class Open(Silent):
    """A signature of the body opens its POST."""

    must_be_signed: ClassVar = {"POST": Signed.BODY}


def lets_pass(view: type[APIView], method: str, signed: Signed) -> bool:
    request = Request(APIRequestFactory().generic(method, "/"))
    request.user = Principal(uuid4(), "Acme", "till@example.com", signed)  # type: ignore[assignment]
    try:
        return IsMerchant().has_permission(request, view())
    except SignatureVersionRequired:
        return False


class TestWhatMustBeSigned:
    @pytest.mark.parametrize("signed", [*LESSER, Signed.ALL])
    def test_is_nothing_in_particular_to_read(self, signed: Signed) -> None:
        assert lets_pass(Silent, "GET", signed)
        assert lets_pass(Silent, "HEAD", signed)

    @pytest.mark.parametrize("method", CHANGES)
    def test_is_everything_where_a_view_says_nothing(self, method: str) -> None:
        assert not [signed for signed in LESSER if lets_pass(Silent, method, signed)]
        assert lets_pass(Silent, method, Signed.ALL)

    def test_is_what_the_view_says_for_that_method_alone(self) -> None:
        assert lets_pass(Open, "POST", Signed.BODY)
        assert lets_pass(Open, "POST", Signed.ALL)
        assert not lets_pass(Open, "POST", Signed.ADDRESS)
        assert not [method for method in CHANGES[1:] if lets_pass(Open, method, Signed.BODY)]

    def test_of_a_method_that_is_not_there_is_left_to_405(self) -> None:
        assert must_be_signed(APIView, "POST") == Signed.ALL
        assert lets_pass(APIView, "POST", Signed.BODY)

    def test_opens_nothing_to_nobody(self) -> None:
        request = Request(APIRequestFactory().get("/"))
        request.user = None  # type: ignore[assignment]
        assert not IsMerchant().has_permission(request, Silent())
