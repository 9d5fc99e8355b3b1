"""The admin as a whole: its front page, and every page of everything registered."""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Record
from fraud.models import AmountLimit, BlockedValue, Rule
from ledger.domain.posting_rules import PLATFORM, AccountKey, AccountKind, Correction
from ledger.models import Account
from ledger.use_cases.propose_adjustment import propose_adjustment
from notifications.models import Contact, Message
from payflow.admin import Standing
from payments import conf
from payments.models import CircuitBreaker, Operation, Payment, Verdict
from payments.use_cases.propose_resolution import propose_resolution
from payments.use_cases.store_token import store_token
from shared import clock
from shared.event_bus import drain
from shared.identifiers import new_id
from shared.models import Publication, ScheduledRun
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import OperatorClient, address, text, withstands_hostile_terms

pytestmark = pytest.mark.django_db

FRONT_PAGE = "/admin/"
INLINE = re.compile(
    r"""<style|\sstyle=|<script(?![^>]*\s(?:src=|type="application/json"))|\son[a-z]+=|javascript:"""
)
DOUBTS = (
    "Operations in doubt",
    "Resolutions to confirm",
    "Circuits not closed",
    "Holds ending in 24 hours",
)


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def one_of_everything() -> None:
    """At least one row of every registered model."""
    merchant = registered_merchant()
    merchant.post("/payments", payment_body())
    drain()
    merchant.post("/payments", payment_body())
    ScheduledRun.objects.create(job="ledger.verify", scheduled_at=clock.now())
    AmountLimit(currency="USD", limit_minor=10**9).store()
    BlockedValue(trait="token", value="tok_stolen").store()
    Group.objects.create(name="operators")
    Contact.objects.create(merchant_id=new_id(), email="new@example.com", changed_at=clock.now())
    CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES, now=clock.now())
    wallet = {"provider": "PAYPAL", "walletId": "w-1"}
    store_token(merchant_id=new_id(), wallet=wallet, now=clock.now())
    propose_in_doubt()
    propose_adjustment(
        correction=Correction(
            AccountKey(AccountKind.MERCHANT_PAYABLE, merchant.merchant_id, "USD"),
            AccountKey(AccountKind.PLATFORM_FEES, PLATFORM, "USD"),
            30,
        ),
        actor="pieter",
        reason="a fee that was forgotten",
        now=clock.now(),
    )


def propose_in_doubt() -> None:
    """An operation in doubt, which one person says was not done."""
    operation = put_in_doubt()
    propose_resolution(
        operation_id=operation.pk,
        verdict=Verdict.FAILED,
        actor="pieter",
        reason="not in their report",
        now=clock.now(),
    )


def put_in_doubt(**changes: object) -> Operation:
    """An operation whose outcome is unknown."""
    operation = Operation.objects.latest("pk")
    Operation.objects.filter(pk=operation.pk).update(outcome="UNKNOWN", verdict="", **changes)
    return operation


@pytest.fixture
def one_operation() -> Operation:
    """The operation that authorised a payment."""
    registered_merchant().post("/payments", payment_body())
    drain()
    return Operation.objects.get()


def figures(page: str, row: str) -> list[str]:
    """The numbers in the row of this name."""
    line = next(line for line in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if f">{row}<" in line)
    return re.findall(r'class="figure[^"]*"><a[^>]*>(\d+)<', line)


class TestFrontPage:
    def test_says_how_things_stand(self, operator: OperatorClient) -> None:
        merchant = registered_merchant()
        for token in ("tok_test", "tok_test", "tok_declined"):
            body = payment_body(paymentMethod={"type": "CARD", "token": token})
            merchant.post("/payments", body)
        drain()
        page = text(operator.client.get(FRONT_PAGE))
        assert "All is well" in page
        assert figures(page, "AUTHORISED") == ["2", "2"]
        assert figures(page, "DECLINED") == ["1", "1"]
        assert figures(page, "FAILED") == ["0", "0"]
        assert "Every event has reached its listeners." in page
        assert figures(page, "operations") == ["0", "0", "0"]
        for line in DOUBTS:
            assert figures(page, line) == ["0"]
        assert "balanced" in page
        assert "ledger.verify" in page

    def test_says_what_needs_a_person(self, operator: OperatorClient) -> None:
        merchant = registered_merchant()
        Rule.objects.filter(kind="AMOUNT_LIMIT").update(weight=50)
        merchant.post("/payments", payment_body(amount="99999.00"))
        drain()
        merchant.post("/payments", payment_body())
        long_ago = clock.now() - timedelta(hours=3)
        fraud = Publication.objects.get(listener_id="fraud.assess_payment")
        Publication.objects.filter(pk=fraud.pk).update(parked_at=long_ago, due_at=None)
        Publication.objects.exclude(pk=fraud.pk).update(due_at=long_ago)
        ScheduledRun.objects.create(job="ledger.verify", scheduled_at=long_ago - timedelta(days=3))
        page = text(operator.client.get(FRONT_PAGE))
        assert "All is well" not in page
        assert figures(page, "fraud.assess_payment") == ["1", "0", "0", "1"]
        assert figures(page, "audit.record_event") == ["1", "0", "1", "0"]
        assert "<strong>1</strong> payment</a> waits" in page
        assert "parked or overdue" in page
        assert "job is late" in page
        assert "does not balance" not in page

    def test_says_when_the_ledger_does_not_balance(
        self, operator: OperatorClient, one_of_everything: None
    ) -> None:
        Account.objects.filter(balance_minor__gt=0).update(balance_minor=1)
        assert "The ledger does not balance." in text(operator.client.get(FRONT_PAGE))

    def test_counts_intents_in_trouble(
        self, operator: OperatorClient, one_of_everything: None
    ) -> None:
        Operation.objects.update(parked_at=clock.now(), due_at=None)
        Message.objects.update(due_at=clock.now() - timedelta(minutes=1))
        page = text(operator.client.get(FRONT_PAGE))
        assert figures(page, "operations") == ["1", "0", "1"]
        assert figures(page, "messages") == ["2", "2", "0"]

    def test_says_what_waits_for_a_second_person(
        self, operator: OperatorClient, one_operation: Operation
    ) -> None:
        propose_in_doubt()
        page = text(operator.client.get(FRONT_PAGE))
        assert "All is well; resolutions wait for a second person." in page
        assert figures(page, "Operations in doubt") == ["1"]
        assert figures(page, "Resolutions to confirm") == ["1"]

    def test_is_troubled_by_a_doubt_that_lasts(
        self, operator: OperatorClient, one_operation: Operation
    ) -> None:
        put_in_doubt(created_at=clock.now() - timedelta(minutes=9))
        assert "has not told" not in text(operator.client.get(FRONT_PAGE))
        put_in_doubt(created_at=clock.now() - timedelta(minutes=11))
        page = text(operator.client.get(FRONT_PAGE))
        assert "has not told for more than ten minutes" in page
        assert "11\xa0minutes ago" in page

    def test_is_troubled_by_an_open_circuit(self, operator: OperatorClient) -> None:
        CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES - 1, now=clock.now())
        assert "All is well" in text(operator.client.get(FRONT_PAGE))
        CircuitBreaker.objects.note_silence("sandbox", 1, now=clock.now())
        page = text(operator.client.get(FRONT_PAGE))
        assert "its circuit is open" in page
        assert figures(page, "Circuits not closed") == ["1"]

    def test_says_how_many_holds_end_soon(
        self, operator: OperatorClient, one_operation: Operation
    ) -> None:
        assert figures(text(operator.client.get(FRONT_PAGE)), DOUBTS[3]) == ["0"]
        Payment.objects.update(capture_before=clock.now() + timedelta(hours=5, minutes=1))
        page = text(operator.client.get(FRONT_PAGE))
        assert figures(page, "Holds ending in 24 hours") == ["1"]
        assert "in 5\xa0hours" in page

    def test_its_numbers_lead_to_the_rows_they_count(
        self, operator: OperatorClient, one_of_everything: None
    ) -> None:
        page = text(operator.client.get(FRONT_PAGE))
        links = re.findall(r'<td class="figure[^"]*"><a href="([^"]+)">(\d+)</a>', page)
        assert len(links) > 10
        for link, count in links:
            listed = operator.client.get(link)
            assert listed.context["cl"].result_count == int(count), link

    def test_opens_when_a_figure_cannot_be_read(
        self, operator: OperatorClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def time_out(**_: object) -> None:
            raise OperationalError("canceling statement due to statement timeout")

        monkeypatch.setattr("payflow.admin.count_by_status", time_out)
        page = text(operator.client.get(FRONT_PAGE))
        assert "This could not be counted in time." in page
        assert "All is well" not in page
        assert Standing.read(clock.now()).payments is None

    def test_needs_a_login(self) -> None:
        answer = Client().get(FRONT_PAGE)
        assert answer.status_code == 302

    def test_has_no_inline_style_or_script(
        self, operator: OperatorClient, one_of_everything: None
    ) -> None:
        page = operator.client.get(FRONT_PAGE).content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=", page)
        assert "//cdn" not in page


class TestRights:
    """The front page tells a total to whoever may look at its rows, and to nobody else."""

    PARTS = (
        ("payments.view_payment", 'id="payments"'),
        ("payments.view_payment", "Holds ending in 24 hours"),
        ("payments.view_operation", "Operations in doubt"),
        ("payments.view_resolution", "Resolutions to confirm"),
        ("payments.view_circuitbreaker", "Circuits not closed"),
        ("payments.view_operation", ">operations<"),
        ("notifications.view_message", ">messages<"),
        ("fraud.view_assessment", 'id="reviews"'),
        ("ledger.view_account", 'id="books"'),
        ("shared.view_publication", 'id="publications"'),
        ("shared.view_scheduledrun", 'id="jobs"'),
    )

    def page_for(self, *rights: str) -> str:
        names = [right.partition(".")[2] for right in rights]
        user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return text(OperatorClient(user).client.get(FRONT_PAGE))

    def test_are_none_for_staff_without_any(self, one_of_everything: None) -> None:
        page = self.page_for()
        assert not [mark for _, mark in self.PARTS if mark in page]
        assert "may not see how things stand" in page
        assert "All is well" not in page
        assert not re.search(r'class="figure', page)

    @pytest.mark.parametrize("right", sorted({right for right, _ in PARTS}))
    def test_show_what_belongs_to_them(self, right: str, one_of_everything: None) -> None:
        page = self.page_for(right)
        shown = {mark for _, mark in self.PARTS if mark in page}
        assert shown == {mark for needed, mark in self.PARTS if needed == right}
        assert "All is well" not in page

    def test_hide_alerts_about_what_is_hidden(self, one_of_everything: None) -> None:
        Account.objects.filter(balance_minor__gt=0).update(balance_minor=1)
        assert "does not balance" in self.page_for("ledger.view_account")
        assert "does not balance" not in self.page_for("payments.view_payment")

    def test_read_nothing_that_is_not_shown(self, one_of_everything: None) -> None:
        with CaptureQueriesContext(connection) as captured:
            Standing.read(clock.now(), lambda right: False)
        assert not captured.captured_queries

    def test_see_which_rules_are_off(self) -> None:
        assert "Rules that are off: " in self.page_for("fraud.view_assessment", "fraud.view_rule")
        assert "Rules that are off" not in self.page_for("fraud.view_assessment")
        Rule.objects.update(is_enabled=True)
        assert "Rules that are off" not in self.page_for("fraud.view_assessment", "fraud.view_rule")


class TestPages:
    ADDRESSES = (
        "/admin/",
        "/admin/login/",
        "/admin/no/such/page/",
        "/swagger-ui.html",
        "/static/drf_spectacular_sidecar/swagger-ui-dist/oauth2-redirect.html",
    )

    @pytest.mark.parametrize("address", ADDRESSES)
    def test_may_not_be_framed_and_load_only_what_is_ours(
        self, operator: OperatorClient, address: str
    ) -> None:
        answer = operator.client.get(address)
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        answer.close()

    def test_of_the_admin_and_swagger_have_nothing_inline(
        self, operator: OperatorClient, one_of_everything: None
    ) -> None:
        pages = ["/admin/login/", "/admin/password_change/", "/swagger-ui.html"]
        for model in admin.site._registry:
            row = model._default_manager.first()
            assert row is not None, model
            pages += [address(model, "changelist"), address(model, "change", row.pk)]
            pages += [address(model, "history", row.pk), address(model, "add")]
        for page in pages:
            client = Client() if "login" in page else operator.client
            found = client.get(page).content.decode()
            assert not INLINE.findall(found), page

    def test_that_are_no_pages_have_no_policy(self) -> None:
        assert "Content-Security-Policy" not in Client().get("/api/v1/health").headers


class TestTrail:
    def test_has_what_operators_do(self, operator: OperatorClient) -> None:
        registered_merchant().post("/payments", payment_body())
        publication = Publication.objects.get(listener_id="fraud.assess_payment")
        Publication.objects.filter(pk=publication.pk).update(parked_at=clock.now(), due_at=None)
        operator.act("retry", publication, reason="the rule was put right")
        operator.save(
            Rule.objects.get(kind="AMOUNT_LIMIT"), weight="50", parameters="{}", why="watch first"
        )
        drain()
        assert not Publication.objects.exists()
        found = operator.list(Record, event_type="Operator.Action.Taken")
        pages = [text(operator.page(row)) for row in found.context["cl"].result_list]
        assert len(pages) == 2
        assert "fraud.rule.change" in pages[0]
        assert "watch first" in pages[0]
        assert "shared.publication.retry" in pages[1]
        assert "the rule was put right" in pages[1]


class TestEveryPage:
    def test_every_model_of_ours_is_registered(self) -> None:
        labels = {"payments", "fraud", "ledger", "merchants", "notifications", "audit", "shared"}
        ours = {
            model
            for model in apps.get_models()
            if model._meta.app_label in labels and ".tests." not in model.__module__
        }
        assert ours <= set(admin.site._registry)

    def test_answers_with_a_row(self, operator: OperatorClient, one_of_everything: None) -> None:
        for model in admin.site._registry:
            row = model._default_manager.first()
            assert row is not None, model
            for answer in (operator.list(model), operator.page(row)):
                assert answer.status_code == 200, model
            history = operator.client.get(address(model, "history", row.pk))
            assert history.status_code == 200, model

    def test_every_list_can_be_searched_sorted_and_filtered(
        self, operator: OperatorClient, one_of_everything: None
    ) -> None:
        for model in admin.site._registry:
            withstands_hostile_terms(operator, model)
            listed = operator.list(model).context["cl"]
            for column in range(1, len(listed.list_display)):
                assert operator.list(model, o=str(column)).status_code == 200, (model, column)
            for spec in listed.filter_specs:
                for choice in spec.choices(listed):
                    link = address(model, "changelist") + choice["query_string"]
                    assert operator.client.get(link).status_code == 200, (model, link)

    def test_costs_a_handful_of_queries(
        self,
        operator: OperatorClient,
        one_of_everything: None,
        django_assert_max_num_queries: object,
    ) -> None:
        registered_merchant().post("/payments", payment_body())
        for model in admin.site._registry:
            with django_assert_max_num_queries(8):  # type: ignore[operator]
                operator.list(model)
