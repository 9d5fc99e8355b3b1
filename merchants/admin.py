"""What operators see of merchants and keys, and what they may do about them."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from merchants import conf
from merchants.models import ApiKey, Merchant
from merchants.use_cases.change_contact import change_contact
from merchants.use_cases.issue_api_key_as_operator import Issued, issue_api_key_as_operator
from merchants.use_cases.pin_signature_version import pin_signature_version
from merchants.use_cases.resume_merchant import resume_merchant
from merchants.use_cases.revoke_api_key_as_operator import revoke_api_key_as_operator
from merchants.use_cases.suspend_merchant import suspend_merchant
from shared import clock
from shared.admin import (
    NoCardNumber,
    Operator,
    ReadOnlyAdmin,
    ReasonForm,
    asks_reason,
    badge_of,
)
from shared.identifiers import new_id

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


class SuspendedFilter(admin.SimpleListFilter):
    """Merchants whose changes are refused, and the others."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """The two choices."""
        return [("active", "active"), ("suspended", "suspended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The merchants of the choice."""
        if self.value() not in ("active", "suspended"):
            return queryset
        return queryset.filter(suspended_at__isnull=self.value() == "active")


class OneMerchantForm(ReasonForm):
    """Why, about one merchant at a time."""

    def clean(self) -> dict[str, Any]:
        """Refuse several."""
        if len(self.rows) != 1:
            raise ValidationError("Choose one merchant.")
        return dict(self.cleaned_data)


class IssueForm(OneMerchantForm):
    """Why a key is issued; sent twice, it issues one."""

    key_id = forms.UUIDField(initial=new_id, widget=forms.HiddenInput)


class ContactForm(OneMerchantForm):
    """The address, and why it is another one."""

    field_order = ("email", "reason")
    email = forms.CharField(
        label="New e-mail address",
        max_length=conf.MAX_EMAIL_LENGTH,
        validators=[NoCardNumber()],
        widget=forms.EmailInput(attrs={"class": "vTextField"}),
    )


@admin.register(Merchant)
class MerchantAdmin(ReadOnlyAdmin):
    """Merchants, newest first."""

    list_display = ("id", "name", "email", "standing", "minimum_signature_version", "created_at")
    list_filter = (SuspendedFilter, "minimum_signature_version", "created_at")
    search_fields = ("id", "name", "email")
    search_help_text = "An id, a name or an e-mail address."
    actions = ("issue_key", "suspend", "resume", "change_contact", "pin_signature_version")

    def __init__(self, model: type[Merchant], admin_site: admin.AdminSite) -> None:
        """Show also where its keys are."""
        super().__init__(model, admin_site)
        self._shown = [*self._shown, "api_keys"]

    @admin.display(description="API keys")
    def api_keys(self, merchant: Merchant) -> str:
        """All of them, as a list."""
        address = reverse("admin:merchants_apikey_changelist", query={"q": str(merchant.pk)})
        return format_html('<a href="{}">its keys</a>', address)

    @admin.display(description="Standing")
    def standing(self, merchant: Merchant) -> str:
        """Whether its changes are taken."""
        return badge_of("suspended" if merchant.is_suspended else "active")

    @asks_reason(
        "Issue a key",
        consequence="A new key is shown once, on the next page, and never again; the merchant is"
        " told by e-mail that it exists, not what it is. Make sure whom you give it to: who has it,"
        " acts as the merchant. Revoke keys that were lost or stolen as well.",
        form_class=IssueForm,
        shown_on="merchants/admin/issued_key.html",
    )
    def issue_key(self, merchant: Merchant, operator: Operator, *, key_id: UUID) -> Issued:
        """Issue a key, shown once."""
        return issue_api_key_as_operator(merchant_id=merchant.pk, key_id=key_id, **vars(operator))

    @asks_reason(
        "Suspend",
        consequence="From its next request on the merchant can read and change nothing: its"
        " payments, captures, refunds and key rotations are refused. What is under way ends. It is"
        " told by e-mail that it was suspended, not why.",
    )
    def suspend(self, merchant: Merchant, operator: Operator) -> None:
        """Refuse a merchant's changes."""
        suspend_merchant(merchant_id=merchant.pk, **vars(operator))

    @asks_reason(
        "Resume",
        consequence="The merchant's changes are taken again from its next request on; it is told.",
    )
    def resume(self, merchant: Merchant, operator: Operator) -> None:
        """Take a suspended merchant's changes again."""
        resume_merchant(merchant_id=merchant.pk, **vars(operator))

    @asks_reason(
        "Change the e-mail address",
        consequence="Whatever is told from now on is told to the new address; the old and the new"
        " one are told of the change. Make sure that it was the merchant who asked for it.",
        form_class=ContactForm,
    )
    def change_contact(self, merchant: Merchant, operator: Operator, *, email: str) -> None:
        """Write to a merchant at another address."""
        change_contact(merchant_id=merchant.pk, email=email, **vars(operator))

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

    hidden = ("sealed_key", "rotation_fingerprint")
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
        consequence="The next request signed with this key is refused. It cannot be undone. If it"
        " is the merchant's last active one, the merchant is locked out until you issue another.",
    )
    def revoke(self, key: ApiKey, operator: Operator) -> None:
        """Revoke a key, also the last one."""
        revoke_api_key_as_operator(key_id=key.pk, **vars(operator))
