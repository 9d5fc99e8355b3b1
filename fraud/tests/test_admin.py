"""The review queue and the rules in the admin."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.forms.models import construct_instance

from fraud.domain.rules import RuleKind, complaints
from fraud.models import AmountLimit, Assessment, BlockedValue, Rule
from shared.event_bus import drain
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    HOSTILE_TERMS,
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

AMOUNT_RULE = "amount-above-limit"


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def merchant() -> SigningClient:
    return registered_merchant()


@pytest.fixture
def in_review(merchant: SigningClient) -> Assessment:
    """The assessment of a payment that waits for an operator."""
    Rule.objects.filter(name=AMOUNT_RULE).update(weight=50)
    merchant.post("/payments", payment_body(amount="20000.00"))
    drain()
    return Assessment.objects.get()


def status_of_the_payment(merchant: SigningClient) -> str:
    return str(merchant.get("/payments").json()["data"][0]["status"])


def _without_checks(form: Any) -> None:
    form.instance = construct_instance(form, form.instance)


def told() -> list[dict[str, Any]]:
    events = Event.objects.filter(event_type="Operator.Action.Taken").order_by("sequence")
    return [event.payload for event in events]


class TestReviewQueue:
    def test_lists_what_waits_and_why(
        self, operator: OperatorClient, in_review: Assessment
    ) -> None:
        page = text(operator.list(Assessment, review="awaited"))
        assert "amount above 10000.00 USD" in page
        assert operator.list(Assessment, review="APPROVE").context["cl"].result_count == 0

    @pytest.mark.parametrize(
        ("action", "status"), [("approve", "AUTHORISED"), ("decline", "DECLINED")]
    )
    def test_decides_a_payment_and_is_audited(
        self,
        operator: OperatorClient,
        merchant: SigningClient,
        in_review: Assessment,
        action: str,
        status: str,
    ) -> None:
        page = operator.act(action, in_review, reason="called the payer", review="awaited")
        assert f"{action.title()}: 1 assessment." in page
        drain()
        assert status_of_the_payment(merchant) == status
        (action_told,) = told()
        assert action_told["action"] == f"fraud.review.{action}"
        assert action_told["reason"] == "called the payer"
        in_review.refresh_from_db()
        assert (in_review.reviewed_by, in_review.review_reason) == ("olga", "called the payer")

    def test_decides_once(self, operator: OperatorClient, in_review: Assessment) -> None:
        operator.act("approve", in_review, review="awaited")
        page = operator.act("decline", in_review, review="awaited")
        assert "Decline: not for 1 assessment. This payment does not wait for a review" in page
        assert len(told()) == 1

    def test_asks_for_a_reason(self, operator: OperatorClient, in_review: Assessment) -> None:
        assert "Say why" in operator.act("approve", in_review, reason="")
        in_review.refresh_from_db()
        assert in_review.awaits_review

    def test_withstands_and_refuses(self, operator: OperatorClient, in_review: Assessment) -> None:
        withstands_hostile_terms(operator, Assessment)
        refuses_changes(operator, in_review)


class TestRules:
    def test_are_changed_with_a_reason_and_audited(self, operator: OperatorClient) -> None:
        rule = Rule.objects.get(name="many-payments-with-one-instrument")
        answer = operator.save(
            rule,
            weight="60",
            parameters='{"seconds": 60, "count": 3}',
            is_enabled="on",
            why="a wave of small tries",
        )
        assert answer.status_code == 302, text(answer)
        rule.refresh_from_db()
        assert (rule.weight, rule.parameters, rule.is_enabled) == (
            60,
            {"seconds": 60, "count": 3},
            True,
        )
        (change,) = told()
        assert change["action"] == "fraud.rule.change"
        assert change["subject"] == (
            'many-payments-with-one-instrument: VELOCITY, weight 50, {"count": 10, "seconds": 600},'
            " off → many-payments-with-one-instrument: VELOCITY, weight 60,"
            ' {"count": 3, "seconds": 60}, on'
        )
        assert change["reason"] == "a wave of small tries"

    def test_are_added_and_removed(self, operator: OperatorClient) -> None:
        values = {"name": "tiny", "kind": "AMOUNT_LIMIT", "weight": "5", "parameters": ""}
        assert operator.add(Rule, **values, why="trial").status_code == 302
        rule = Rule.objects.get(name="tiny")
        assert rule.parameters == {}
        assert "Remove: 1 rule." in operator.act("remove", rule, reason="trial is over")
        assert not Rule.objects.filter(name="tiny").exists()
        assert [entry["action"] for entry in told()] == ["fraud.rule.add", "fraud.rule.remove"]

    def test_keep_their_name_and_kind(self, operator: OperatorClient) -> None:
        rule = Rule.objects.get(name=AMOUNT_RULE)
        operator.save(rule, name="other", kind="BLOCKLIST", weight="7", parameters="{}", why="x")
        rule.refresh_from_db()
        assert (rule.name, rule.kind, rule.weight) == (AMOUNT_RULE, "AMOUNT_LIMIT", 7)

    def test_are_not_changed_without_a_reason(self, operator: OperatorClient) -> None:
        rule = Rule.objects.get(name=AMOUNT_RULE)
        for why in ("", " ", "4111-1111-1111-1111", "x" * 501):
            operator.save(rule, weight="1", parameters="{}", why=why)
        rule.refresh_from_db()
        assert rule.weight == 100
        assert told() == []

    @pytest.mark.parametrize(
        "parameters",
        [
            '{"seconds": 0, "count": 3}',
            '{"seconds": -5, "count": 3}',
            '{"seconds": 86401, "count": 3}',
            '{"seconds": 60}',
            '{"seconds": 60, "count": true}',
            '{"seconds": 60, "count": 2.5}',
            '{"seconds": 1e999, "count": 2}',
            '{"seconds": "60", "count": 2}',
            '{"seconds": 60, "count": 2, "limit": 5}',
            '{"seconds": 60, "count": 2, "\\u0000": 5}',
            "[]",
            "3",
            "null",
            "",
            "nonsense",
            "[" * 100_000,
            '{"seconds": ' + "9" * 400 + ', "count": 2}',
        ],
    )
    def test_take_no_parameters_that_the_engine_cannot_run_with(
        self, operator: OperatorClient, merchant: SigningClient, parameters: str
    ) -> None:
        rule = Rule.objects.get(kind="VELOCITY")
        page = text(
            operator.save(rule, weight="50", parameters=parameters, is_enabled="on", why="try")
        )
        assert "errorlist" in page
        assert told() == []
        merchant.post("/payments", payment_body())
        drain()
        assert Assessment.objects.get().decision == "APPROVE"

    def test_a_weight_out_of_range_is_an_error_of_the_form(self, operator: OperatorClient) -> None:
        rule = Rule.objects.get(name=AMOUNT_RULE)
        for weight in ("0", "101", "99999", "x"):
            assert "errorlist" in text(operator.save(rule, weight=weight, parameters="{}", why="x"))

    def test_a_name_is_used_once(self, operator: OperatorClient) -> None:
        page = operator.add(
            Rule, name=AMOUNT_RULE, kind="BLOCKLIST", weight="5", parameters="{}", why="x"
        )
        assert "errorlist" in text(page)

    def test_a_name_taken_meanwhile_is_a_message(
        self, operator: OperatorClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("django.forms.ModelForm.validate_unique", lambda form: None)
        monkeypatch.setattr("django.forms.ModelForm._post_clean", _without_checks)
        values = {"name": AMOUNT_RULE, "kind": "BLOCKLIST", "weight": "5", "parameters": "{}"}
        answer = operator.add(Rule, **values, why="x")
        assert answer.status_code == 302
        assert "Somebody changed this meanwhile" in text(
            operator.client.get(answer.headers["Location"])
        )
        assert told() == []

    def test_are_not_deleted_djangos_way(self, operator: OperatorClient) -> None:
        assert "delete_selected" not in text(operator.list(Rule))
        rule = Rule.objects.get(name=AMOUNT_RULE)
        answer = operator.client.post(f"/admin/fraud/rule/{rule.pk}/delete/", {"post": "yes"})
        assert answer.status_code == 403

    def test_are_not_changed_by_who_may_only_view(self) -> None:
        viewer = OperatorClient.who_may_only_view()
        rule = Rule.objects.get(name=AMOUNT_RULE)
        assert viewer.page(rule).status_code == 200
        answer = viewer.save(rule, weight="1", parameters="{}", why="x")
        assert answer.status_code == 403
        viewer.act("remove", rule)
        assert Rule.objects.filter(pk=rule.pk).exists()

    def test_the_models_refuse_what_the_form_refuses(self) -> None:
        assert complaints(RuleKind.AMOUNT_LIMIT, {}) == []
        assert complaints(RuleKind.AMOUNT_LIMIT, {"limit": 0}) == [
            "'limit' is a whole number from 1 to 1000000000000."
        ]
        assert complaints(RuleKind.BLOCKLIST, {"limit": 1}) == [
            "BLOCKLIST takes no parameter 'limit'."
        ]


class TestLimitsAndBlocklist:
    def test_a_limit_meets_the_next_payment(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        added = operator.add(AmountLimit, currency="USD", limit_minor="100", why="quiet day")
        assert added.status_code == 302, text(added)
        merchant.post("/payments", payment_body(amount="1.01"))
        drain()
        assert status_of_the_payment(merchant) == "DECLINED"
        assert told()[0]["subject"] == "USD 1.00"

    def test_a_blocked_payee_is_declined(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        payee = str(uuid4())
        added = operator.add(BlockedValue, trait="payee", value=payee, reason="", why="a mule")
        assert added.status_code == 302, text(added)
        Rule.objects.filter(kind="BLOCKLIST").update(is_enabled=True)
        merchant.post("/payments", payment_body(payeeAccountId=payee))
        drain()
        assert status_of_the_payment(merchant) == "DECLINED"
        blocked = BlockedValue.objects.get()
        assert "Remove: 1 blocked value." in operator.act("remove", blocked)

    @pytest.mark.parametrize(
        ("trait", "value"),
        [
            ("payee", "not a uuid"),
            ("merchant", "0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B"),
            ("token", "4111111111111111"),
            ("token", ""),
            ("token", "x" * 201),
            ("token", "a\0b"),
            ("colour", "red"),
        ],
    )
    def test_what_can_never_hit_is_not_taken(
        self, operator: OperatorClient, trait: str, value: str
    ) -> None:
        assert "errorlist" in text(operator.add(BlockedValue, trait=trait, value=value, why="x"))
        assert not BlockedValue.objects.exists()

    @pytest.mark.parametrize(
        ("currency", "limit"), [("XXX", "1"), ("usd", "1"), ("USD", "-1"), ("USD", "9" * 30)]
    )
    def test_a_limit_is_of_a_currency_and_within_limits(
        self, operator: OperatorClient, currency: str, limit: str
    ) -> None:
        page = operator.add(AmountLimit, currency=currency, limit_minor=limit, why="x")
        assert "errorlist" in text(page)

    def test_lists_withstand_any_term(self, operator: OperatorClient) -> None:
        operator.add(AmountLimit, currency="JPY", limit_minor="100", why="x")
        operator.add(BlockedValue, trait="token", value=json.dumps("t"), why="x")
        for model in (Rule, AmountLimit, BlockedValue):
            withstands_hostile_terms(operator, model)
        assert "100 JPY" in text(operator.list(AmountLimit))

    def test_reasons_take_any_text(self, operator: OperatorClient) -> None:
        rule = Rule.objects.get(name=AMOUNT_RULE)
        for why in HOSTILE_TERMS:
            assert operator.save(rule, weight="9", parameters="{}", why=why).status_code in (
                200,
                302,
            )


class TestWhatIsOff:
    BLOCKLIST, VELOCITY = "Blocked values are not looked at", "How fast payments follow each other"

    def test_is_said_where_it_matters(self, operator: OperatorClient) -> None:
        blocked = BlockedValue(trait="token", value="tok_stolen")
        blocked.store()
        for page in (text(operator.list(BlockedValue)), text(operator.page(blocked))):
            assert f"{self.BLOCKLIST}, and every one of them passes: no rule of the kind" in page
            assert self.VELOCITY not in page
        for model in (Rule, Assessment):
            page = text(operator.list(model))
            assert self.BLOCKLIST in page and self.VELOCITY in page

    def test_is_said_on_the_page_of_a_new_blocked_value(self, operator: OperatorClient) -> None:
        page = text(operator.client.get("/admin/fraud/blockedvalue/add/"))
        assert self.BLOCKLIST in page

    def test_is_not_said_of_what_is_on(self, operator: OperatorClient) -> None:
        Rule.objects.update(is_enabled=True)
        for model in (Rule, Assessment, BlockedValue, AmountLimit):
            assert "not looked at" not in text(operator.list(model))

    def test_is_said_of_what_is_gone(self, operator: OperatorClient) -> None:
        Rule.objects.all().delete()
        assert "Amounts are not looked at" in text(operator.list(AmountLimit))
