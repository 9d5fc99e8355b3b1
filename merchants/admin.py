"""What operators see of merchants and keys, and the two things they may do about them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from merchants.models import ApiKey, Merchant
from merchants.use_cases.pin_signature_version import pin_signature_version
from merchants.use_cases.revoke_api_key_as_operator import revoke_api_key_as_operator
from shared import clock
from shared.admin import Operator, ReadOnlyAdmin, asks_reason, badge_of

STRONGEST_SIGNATURE_VERSION = 2


class ActiveFilter(admin.SimpleListFilter):
    """Keys that verify a signature now, and those that do not."""

    title = "use"
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """The two choices."""
        return [("active", "active"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The keys of the choice."""
        active = ApiKey.objects.active(clock.now()).values("pk")
        if self.value() == "active":
            return queryset.filter(pk__in=active)
        return queryset.exclude(pk__in=active) if self.value() == "ended" else queryset


@admin.register(Merchant)
class MerchantAdmin(ReadOnlyAdmin):
    """Merchants, newest first."""

    list_display = ("id", "name", "email", "minimum_signature_version", "created_at")
    list_filter = ("minimum_signature_version", "created_at")
    search_fields = ("id", "name", "email")
    search_help_text = "An id, a name or an e-mail address."
    actions = ("pin_signature_version",)

    @asks_reason(
        "Require signature v2",
        consequence="Requests signed with v1 are refused from now on, with the same answer as a"
        " wrong signature. The merchant should have changed over before.",
    )
    def pin_signature_version(self, merchant: Merchant, operator: Operator) -> None:
        """Refuse v1 signatures of a merchant."""
        pin_signature_version(
            merchant_id=merchant.pk, version=STRONGEST_SIGNATURE_VERSION, **vars(operator)
        )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys by what is visible of them; no page shows the key or its ciphertext."""

    hidden = ("sealed_key",)
    list_display = ("prefix", "merchant", "use", "expires_at", "last_used_at")
    list_filter = (ActiveFilter,)
    list_select_related = ("merchant",)
    search_fields = ("id", "merchant__id", "merchant__name", "merchant__email", "prefix")
    search_help_text = "An id of the key or its merchant, the merchant's name, or a prefix."
    actions = ("revoke",)

    @admin.display(description="Use")
    def use(self, key: ApiKey) -> str:
        """Whether it verifies a signature now."""
        return badge_of("active" if key.is_active(clock.now()) else "ended")

    @asks_reason(
        "Revoke",
        consequence="The next request signed with this key is refused. It cannot be undone.",
    )
    def revoke(self, key: ApiKey, operator: Operator) -> None:
        """Revoke a key."""
        revoke_api_key_as_operator(merchant_id=key.merchant_id, key_id=key.pk, **vars(operator))
