"""`/tokens`: what the endpoints take and give, and one view per operation."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from payments.models import Token
from payments.models.token import Brand, TokenType
from payments.use_cases.delete_token import delete_token
from payments.use_cases.show_token import show_token
from payments.use_cases.store_token import store_token
from shared import clock
from shared.http.fields import Choice, IdempotencyKey, Line, StrictSerializer, WholeNumber
from shared.http.idempotency import REPLAYED, Accepted, Answer, answer_once
from shared.http.principal import Signed, principal_of

_TYPES = [kind.value for kind in TokenType]


class Digits(serializers.CharField):
    """
    A number of a card, or its security code, and no more than a short string to this field.

    The only fields of the API that do not refuse card numbers. Whether it is one is for the vault
    to say; none of the messages here repeats it.
    """

    default_error_messages = {"not_text": "Send a string of digits."}

    def to_internal_value(self, data: Any) -> str:
        """The text, of a JSON string only."""
        if not isinstance(data, str):
            self.fail("not_text")
        return super().to_internal_value(data)


# As constants: an enumeration would share its generated name with that of the payment methods.
@extend_schema_field({"type": "string", "oneOf": [{"const": kind} for kind in _TYPES]})
class TypeOfToken(Choice):
    """What a token stands for."""


class CardRequest(StrictSerializer):
    """A card; `cvc` is checked and forgotten."""

    number = Digits(max_length=40, trim_whitespace=False, help_text="13 to 19 digits.")
    expMonth = WholeNumber(help_text="1 to 12.")
    expYear = WholeNumber(help_text="Four digits.")
    cvc = Digits(required=False, max_length=10, trim_whitespace=False)
    holder = Line(required=False, max_length=100)


class WalletRequest(StrictSerializer):
    """A payer's account with a wallet."""

    provider = Line(max_length=40)
    walletId = Line(max_length=100)


class TokenRequest(StrictSerializer):
    """Body of `POST /tokens`: `card` for a CARD, `wallet` for a WALLET."""

    idempotencyKey = IdempotencyKey(required=False)
    type = TypeOfToken(choices=_TYPES)
    card = CardRequest(required=False)
    wallet = WalletRequest(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse the details of another type, and a token of nothing."""
        wanted = attrs["type"].lower()
        if attrs.keys() & {"card", "wallet"} != {wanted}:
            message = f"A token of type {attrs['type']} is made of a {wanted} and nothing else."
            raise serializers.ValidationError({wanted: [message]})
        return attrs


class TokenDeletion(StrictSerializer):
    """Body of `DELETE /tokens/{token}`."""

    idempotencyKey = IdempotencyKey(required=False)


class TokenResource(serializers.Serializer[Any]):
    """A token and what may be known of what it stands for."""

    token = serializers.CharField()
    type = TypeOfToken(choices=_TYPES)
    brand = serializers.ChoiceField(choices=[brand.value for brand in Brand], required=False)
    last4 = serializers.CharField(required=False)
    expMonth = serializers.IntegerField(required=False)
    expYear = serializers.IntegerField(required=False)
    fingerprint = serializers.CharField(
        help_text="The same for all of your tokens of one card or account."
    )


class Tokens(APIView):
    """Tokenising."""

    must_be_signed: ClassVar = {"POST": Signed.BODY}

    @extend_schema(request=TokenRequest, responses={201: TokenResource}, parameters=[REPLAYED])
    def post(self, request: Request) -> Response:
        """Take a card or a wallet and give a token that stands for it."""
        validated = TokenRequest.validated(request.data)

        def store(key: str) -> Accepted:
            token = store_token(
                merchant_id=principal_of(request).merchant_id,
                card=validated.get("card"),
                wallet=validated.get("wallet"),
                now=clock.now(),
            )
            return Accepted(None, Answer(201, token_resource(token)))

        return answer_once(request, validated, store)


class TokenDetail(APIView):
    """One token."""

    @extend_schema(responses=TokenResource)
    def get(self, request: Request, token: str) -> Response:
        """Show what it stands for, as far as that may be known."""
        found = show_token(merchant_id=principal_of(request).merchant_id, token=token)
        return Response(token_resource(found))

    @extend_schema(request=TokenDeletion, responses={204: None}, parameters=[REPLAYED])
    def delete(self, request: Request, token: str) -> Response:
        """Wipe what it stands for; nothing can be paid with it any more."""
        validated = TokenDeletion.validated(request.data)

        def delete(key: str) -> Accepted:
            merchant_id = principal_of(request).merchant_id
            delete_token(merchant_id=merchant_id, token=token, now=clock.now())
            return Accepted(None, Answer(204, None))

        return answer_once(request, validated, delete)


def token_resource(token: Token) -> dict[str, Any]:
    """A token as the API shows it."""
    resource = {
        "token": token.pk,
        "type": token.method_type,
        "brand": token.brand or None,
        "last4": token.last4 or None,
        "expMonth": token.exp_month,
        "expYear": token.exp_year,
        "fingerprint": bytes(token.fingerprint).hex(),
    }
    return {name: value for name, value in resource.items() if value is not None}
