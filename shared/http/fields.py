"""Request serializers that refuse what they do not know, and the fields of the API's contract."""

import re
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from shared import money
from shared.http.card_numbers import contains_card_number, shown
from shared.identifiers import is_canonical


class StrictSerializer(serializers.Serializer[Any]):
    """A request body: an unknown field is 400 `unknown_field`, never ignored."""

    @classmethod
    def validated(cls, body: Any) -> dict[str, Any]:
        """
        The validated fields of a body. Raises: ValidationError.

        One instance per class serves all requests: validation keeps nothing in it, and making one
        copies every field.
        """
        fields: dict[str, Any] = _instance_of(cls).run_validation(body)
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """Refuse unknown fields, then validate."""
        if isinstance(data, dict) and (unknown := data.keys() - self.fields.keys()):
            raise serializers.ValidationError(
                {
                    shown(name): [
                        serializers.ErrorDetail("Not a field of this request.", "unknown_field")
                    ]
                    for name in sorted(unknown)[:10]
                }
            )
        return super().to_internal_value(data)


@cache
def _instance_of(serializer: type[StrictSerializer]) -> StrictSerializer:
    return serializer()


class WholeNumber(serializers.IntegerField):
    """A JSON integer: not `"12"`, not `true`."""

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if type(data) is not int:
            self.fail("invalid")
        return data


class Text(serializers.CharField):
    """A JSON string, as it is: not a number, not trimmed, and no card number in it."""

    default_error_messages = {
        "not_text": "Send a string.",
        "card": "Card numbers are not taken here.",
    }

    def __init__(self, **options: Any) -> None:
        """Keep the text as sent, spaces included."""
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """The text. Refuses other JSON types and card numbers."""
        if not isinstance(data, str):
            self.fail("not_text")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)  # before it is searched
        if contains_card_number(data):
            raise serializers.ValidationError(
                self.error_messages["card"], code="card_number_refused"
            )
        return super().to_internal_value(data)


class Line(Text):
    """A text on one line; a line break in it could add a header to an e-mail."""

    default_error_messages = {"not_line": "Send one line without control characters."}

    def to_internal_value(self, data: Any) -> str:
        """The text. Refuses control characters, and a line of spaces alone."""
        text = super().to_internal_value(data)
        if not text.isprintable() or not text.strip():
            self.fail("not_line")
        return text


class Choice(serializers.ChoiceField):
    """One of a few texts; what was sent instead is not repeated."""

    default_error_messages = {"invalid_choice": "Send one of the documented values."}


class IdempotencyKey(Text):
    """1–128 printable ASCII characters."""

    default_error_messages = {"not_key": "Send 1 to 128 printable ASCII characters."}

    def to_internal_value(self, data: Any) -> str:
        """The key."""
        if isinstance(data, str) and not (
            data.isascii() and data.isprintable() and 1 <= len(data) <= 128
        ):
            self.fail("not_key")
        return super().to_internal_value(data)


class CanonicalUUID(serializers.UUIDField):
    """A UUID in its canonical lower-case form of 36 characters."""

    def to_internal_value(self, data: Any) -> UUID:
        """The id."""
        if not isinstance(data, str) or not is_canonical(data):
            self.fail("invalid", value="")
        return UUID(data)


class Flag(serializers.BooleanField):
    """true or false: not 1, not "true"."""

    def to_internal_value(self, data: Any) -> bool:
        """The truth value."""
        if not isinstance(data, bool):
            self.fail("invalid", input="")
        return data


class Instant(serializers.DateTimeField):
    """An ISO 8601 instant with its zone."""

    default_error_messages = {"not_instant": "Send an instant such as 2026-01-31T00:00:00Z."}

    def to_internal_value(self, data: Any) -> datetime:
        """The instant, in UTC."""
        try:
            instant = datetime.fromisoformat(data) if isinstance(data, str) else None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None or len(data) > _MAX_INSTANT:
            self.fail("not_instant")
        try:
            return instant.astimezone(UTC)
        except OverflowError:
            self.fail("not_instant")


class WebAddress(Line):
    """
    An http or https address without a login in it, that browsers read as we do.

    They mend what is no address: a backslash becomes a slash, tabs, line breaks and outer spaces
    go, one slash is as good as two, `%2e` and full-width letters become part of a host. Only what
    needs no mending is taken: RFC 3986's characters, and as host a name in ASCII or an IP address.
    """

    default_error_messages = {"not_address": "Send an http or https address."}

    def to_internal_value(self, data: Any) -> str:
        """The address."""
        text = super().to_internal_value(data)
        found = _WEB_ADDRESS.fullmatch(text)
        if found is None or not _is_host(found["host"]) or not _is_port(found["port"]):
            self.fail("not_address")
        return text


_WEB_ADDRESS = re.compile(
    r"(?i:https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#](?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# A last label of digits, or `0x…`, makes browsers read all of it as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def _is_host(host: str) -> bool:
    try:
        if host.startswith("["):
            return bool(IPv6Address(host[1:-1]))
        labels = host.removesuffix(".").split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return bool(IPv4Address(host))
    except ValueError:
        return False
    return len(host) <= _MAX_HOST and all(map(_LABEL.fullmatch, labels))


def _is_port(port: str | None) -> bool:
    return port is None or 0 < int(port) <= 65_535


_MAX_HOST = 253
_MAX_INSTANT = 40


class WrittenAmount(str):
    """An amount as it was written: how many decimals matters to its currency, not to its value."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The same for 250, 250.0 and 250.00."""
        whole, _, decimals = self.partition(".")
        decimals = decimals.rstrip("0")
        return f"{whole}.{decimals}" if decimals else whole


def read_amount(text: str | None, currency: str) -> int | None:
    """
    The minor units of an optional `amount` field in a currency the body does not name.

    Raises: serializers.ValidationError, for the field `amount`.
    """
    if text is None:
        return None
    try:
        return money.parse_amount(text, currency)
    except money.NotAnAmount as error:
        raise serializers.ValidationError({"amount": [str(error)]}) from None


@extend_schema_field({"type": "string", "pattern": r"^(0|[1-9][0-9]{0,14})(\.[0-9]+)?$"})
class Amount(serializers.Field[Any, Any, Any, Any]):
    """A decimal string in major units; validated with its currency by `WithAmount`."""

    def to_internal_value(self, data: Any) -> "WrittenAmount":
        """The text, if it is one."""
        if not isinstance(data, str):
            raise serializers.ValidationError('Send a decimal string such as "250.00".')
        return WrittenAmount(data)

    def to_representation(self, value: Any) -> Any:
        """As it is."""
        return value


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{3}$", "example": "USD"})
class Currency(serializers.Field[Any, Any, Any, Any]):
    """An upper-case ISO 4217 code of circulating money."""

    def to_internal_value(self, data: Any) -> str:
        """The code."""
        if not isinstance(data, str) or data not in money.EXPONENTS:
            raise serializers.ValidationError("Send an upper-case ISO 4217 code such as USD.")
        return data

    def to_representation(self, value: Any) -> Any:
        """As it is."""
        return value


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": 20,
        "additionalProperties": {"type": "string", "maxLength": 500},
    }
)
class Metadata(serializers.Field[Any, Any, Any, Any]):
    """At most 20 pairs of string (≤ 40) : string (≤ 500)."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """The pairs."""
        if not isinstance(data, dict) or len(data) > 20:
            raise serializers.ValidationError("Send an object of at most 20 pairs.")
        for key, value in data.items():
            if not isinstance(value, str) or not 1 <= len(key) <= 40 or len(value) > 500:
                raise serializers.ValidationError(
                    "Keys are strings of 1 to 40 characters, values strings of at most 500."
                )
            if contains_card_number(key) or contains_card_number(value):
                raise serializers.ValidationError(
                    "Card numbers are not taken here.", code="card_number_refused"
                )
        return data

    def to_representation(self, value: Any) -> Any:
        """As it is."""
        return value


class WithAmount(StrictSerializer):
    """A body with `amount` and `currency`; adds `amount_minor` to what was validated."""

    amount = Amount(help_text='Decimal string in major units: "250.00".')
    currency = Currency(help_text="ISO 4217, upper case.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the amount in its currency."""
        attrs["amount_minor"] = read_amount(attrs["amount"], attrs["currency"])
        return attrs
