"""What operators do for merchants and to them: with a reason, audited, and told."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from merchants import conf
from merchants.models import (
    AlreadySuspended,
    ApiKey,
    Merchant,
    NotSuspended,
    TooManyActiveKeys,
)
from merchants.queries import ApiKeyNotFound, MerchantNotFound
from merchants.tests.keys import rotate, status
from merchants.use_cases.change_contact import NotAnAddress, SameAddress, change_contact
from merchants.use_cases.issue_api_key_as_operator import (
    Issued,
    KeyIssuedBefore,
    issue_api_key_as_operator,
)
from merchants.use_cases.register_merchant import MerchantExists
from merchants.use_cases.resume_merchant import resume_merchant
from merchants.use_cases.revoke_api_key_as_operator import revoke_api_key_as_operator
from merchants.use_cases.suspend_merchant import suspend_merchant
from shared import clock
from shared.errors import DomainError
from shared.event_bus.operating import ReasonRequired
from shared.models import Event
from shared.testing.api import Written, registered_merchant
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


def operator(reason: str = "asked by phone, called back") -> dict[str, Any]:
    return {"actor": "olga", "reason": reason, "now": clock.now()}


def issue(merchant: SigningClient, key_id: UUID | None = None) -> Issued:
    return issue_api_key_as_operator(
        merchant_id=UUID(merchant.merchant_id), key_id=key_id or uuid4(), **operator()
    )


def last_told(count: int = 2) -> list[tuple[str, dict[str, Any]]]:
    """The type and payload of the last events, oldest first."""
    events = Event.objects.order_by("-sequence")[:count]
    return [(event.event_type, event.payload) for event in events][::-1]


class TestIssueApiKey:
    def test_adds_a_key_that_works_beside_the_others(self, merchant: SigningClient) -> None:
        issued = issue(merchant)
        renewed = SigningClient(merchant.merchant_id, issued.plain_key)
        assert (status(merchant), status(renewed)) == (200, 200)

    def test_tells_without_the_key(self, merchant: SigningClient) -> None:
        issued = issue(merchant)
        (told, about), (action, by) = last_told()
        assert (told, action) == ("Merchant.ApiKey.Issued", "Operator.Action.Taken")
        assert about["api_key_id"] == str(issued.key.pk)
        assert (by["actor"], by["action"]) == ("olga", "merchants.api_key.issue")
        assert issued.plain_key not in str(about) + str(by) + repr(issued)

    def test_issues_one_key_for_one_form(self, merchant: SigningClient) -> None:
        key_id = uuid4()
        issue(merchant, key_id)
        before = Written.now()
        with pytest.raises(KeyIssuedBefore):
            issue(merchant, key_id)
        assert Written.now() == before

    def test_issues_one_key_for_one_form_sent_by_many_at_once(self) -> None:
        merchant, key_id = registered_merchant(), uuid4()
        told = race([lambda: refusal(partial(issue, merchant, key_id))] * 4)
        assert sorted(told) == ["", *["key_issued_before"] * 3]

    def test_stops_at_the_limit_however_many_issue_at_once(self) -> None:
        merchant = registered_merchant()
        told = race([lambda: refusal(partial(issue, merchant))] * 6)
        assert sorted(told) == [*[""] * 4, *["too_many_active_keys"] * 2]
        assert ApiKey.objects.active(clock.now()).count() == conf.MAX_ACTIVE_KEYS
        with pytest.raises(TooManyActiveKeys):
            issue(merchant)


class TestRevokeApiKey:
    def test_ends_the_last_one_too(self, merchant: SigningClient) -> None:
        key = ApiKey.objects.get()
        revoke_api_key_as_operator(key_id=key.pk, **operator())
        assert status(merchant) == 401
        assert [told for told, _ in last_told()] == [
            "Merchant.ApiKey.Revoked",
            "Operator.Action.Taken",
        ]
        with pytest.raises(ApiKeyNotFound):
            revoke_api_key_as_operator(key_id=key.pk, **operator())

    def test_ends_a_replaced_key_that_may_still_ask_its_rotation_again(
        self, merchant: SigningClient
    ) -> None:
        rotate(merchant, 0)
        replaced = ApiKey.objects.get(replaced_at__isnull=False)
        assert not replaced.is_active(clock.now())
        revoke_api_key_as_operator(key_id=replaced.pk, **operator())


class TestSuspendMerchant:
    def test_is_undone_by_resuming(self, merchant: SigningClient) -> None:
        merchant_id = UUID(merchant.merchant_id)
        assert suspend_merchant(merchant_id=merchant_id, **operator()).is_suspended
        assert last_told()[0][0] == "Merchant.Account.Suspended"
        with pytest.raises(AlreadySuspended):
            suspend_merchant(merchant_id=merchant_id, **operator())
        assert not resume_merchant(merchant_id=merchant_id, **operator()).is_suspended
        assert last_told()[0][0] == "Merchant.Account.Resumed"
        with pytest.raises(NotSuspended):
            resume_merchant(merchant_id=merchant_id, **operator())
        actions = Event.objects.filter(event_type="Operator.Action.Taken").order_by("sequence")
        assert [event.payload["action"] for event in actions] == [
            "merchants.account.suspend",
            "merchants.account.resume",
        ]

    def test_tells_the_merchant_not_why(self, merchant: SigningClient) -> None:
        suspected = operator("card testing, case 815")
        suspend_merchant(merchant_id=UUID(merchant.merchant_id), **suspected)
        (_, about), (_, by) = last_told()
        assert "case 815" in str(by)
        assert "case 815" not in str(about)

    def test_takes_effect_once_when_two_do_it_at_once(self) -> None:
        merchant_id = UUID(registered_merchant().merchant_id)
        act = partial(suspend_merchant, merchant_id=merchant_id, **operator())
        assert sorted(race([lambda: refusal(act)] * 3)) == ["", *["already_suspended"] * 2]


class TestChangeContact:
    def change(self, merchant: SigningClient, email: str) -> Merchant:
        merchant_id = UUID(merchant.merchant_id)
        return change_contact(merchant_id=merchant_id, email=email, **operator())

    def test_names_both_addresses_to_whom_they_belong(self, merchant: SigningClient) -> None:
        before = Merchant.objects.get().email
        assert self.change(merchant, "new@example.com").email == "new@example.com"
        (told, about), (_, by) = last_told()
        assert told == "Merchant.Account.ContactChanged"
        assert (about["merchant_email"], about["previous_email"]) == ("new@example.com", before)
        assert "@" not in str(by)
        assert merchant.get("/merchants/me").json()["email"] == "new@example.com"

    def test_may_change_the_letter_case(self, merchant: SigningClient) -> None:
        self.change(merchant, "Till@Example.com")
        self.change(merchant, "till@example.com")
        with pytest.raises(SameAddress):
            self.change(merchant, "till@example.com")

    def test_refuses_the_address_of_another(self, merchant: SigningClient) -> None:
        registered_merchant(email="taken@example.com")
        with pytest.raises(MerchantExists):
            self.change(merchant, "TAKEN@example.com")

    @pytest.mark.parametrize(
        "email",
        [
            *("", "a", "a@b", "a@example.com\r\nBcc: b@example.com", '"\x01"@example.com'),
            *("a@example.com,b@example.com", " a@example.com", "x" * 250 + "@example.com"),
        ],
    )
    def test_refuses_what_is_no_address(self, merchant: SigningClient, email: str) -> None:
        before = Written.now()
        with pytest.raises(NotAnAddress):
            self.change(merchant, email)
        assert Written.now() == before

    def test_gives_an_address_to_one_of_those_who_want_it_at_once(self) -> None:
        merchants = [registered_merchant() for _ in range(3)]
        acts = [partial(self.change, merchant, "one@example.com") for merchant in merchants]
        told = race([partial(refusal, act) for act in acts])
        assert sorted(told) == ["", *["merchant_exists"] * 2]


def refusal(act: Callable[[], object]) -> str:
    """The code of a refusal; empty if it was done."""
    try:
        act()
    except DomainError as refused:
        return refused.code
    return ""


class TestEveryAction:
    def actions(self, merchant_id: UUID, reason: str) -> list[Callable[[], object]]:
        facts = operator(reason)
        return [
            partial(issue_api_key_as_operator, merchant_id=merchant_id, key_id=uuid4(), **facts),
            partial(suspend_merchant, merchant_id=merchant_id, **facts),
            partial(change_contact, merchant_id=merchant_id, email="b@example.com", **facts),
        ]

    def test_wants_a_reason(self, merchant: SigningClient) -> None:
        before, key = Written.now(), ApiKey.objects.get()
        acts = self.actions(UUID(merchant.merchant_id), " ")
        acts.append(partial(revoke_api_key_as_operator, key_id=key.pk, **operator(" ")))
        for act in acts:
            with pytest.raises(ReasonRequired):
                act()
        assert Written.now() == before
        assert status(merchant) == 200

    def test_wants_a_merchant_there_is(self) -> None:
        acts = self.actions(uuid4(), "why")
        acts.append(partial(resume_merchant, merchant_id=uuid4(), **operator()))
        for act in acts:
            with pytest.raises(MerchantNotFound):
                act()
        with pytest.raises(ApiKeyNotFound):
            revoke_api_key_as_operator(key_id=uuid4(), **operator())
