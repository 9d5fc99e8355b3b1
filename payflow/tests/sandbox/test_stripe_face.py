"""The Stripe face, driven by Stripe's own library."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import stripe
import urllib3

from payflow.tests.sandbox.conftest import SECRET, Sandbox, new_key, receiver, wait_until
from payflow.tests.sandbox.stripe_samples import CHARGE, INTENT, REFUND

KEY = "sk_test_nobody"


def error_of(raised: pytest.ExceptionInfo[stripe.StripeError]) -> Any:
    return raised.value.error


class Client:
    """Stripe's library, pointed at the sandbox; it tries nothing twice."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.http: Any = stripe.RequestsClient(timeout=10)
        self.library = stripe.StripeClient(
            KEY,
            base_addresses={"api": sandbox.url},
            max_network_retries=0,
            http_client=self.http,
        )
        # The library types parameters and answers, but neither its errors nor its clients fully.
        self.intents: Any = self.library.v1.payment_intents
        self.refunds: Any = self.library.v1.refunds

    def close(self) -> None:
        self.http.close()

    def create(self, token: str = "", key: str = "", **more: Any) -> Any:
        params: dict[str, Any] = {
            "amount": 25_000,
            "currency": "usd",
            "capture_method": "manual",
            "confirm": True,
            "metadata": {"payment_id": "pay-1", "operation_id": "op-1"},
        }
        if token:
            params["payment_method_data"] = {"type": "card", "card": {"token": token}}
        else:
            params["payment_method"] = "pm_card_visa"
        options = {"idempotency_key": key} if key else {}
        return self.intents.create(params | more, options)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    made = Client(sandbox)
    yield made
    made.close()


class TestLifecycle:
    def test_hold_capture_and_refund(self, client: Client, sandbox: Sandbox) -> None:
        key = new_key()
        held = client.create(key=key)
        assert held.id.startswith("pi_")
        assert (held.status, held.amount_capturable, held.amount_received) == (
            "requires_capture", 25_000, 0,
        )  # fmt: skip
        assert held.metadata["operation_id"] == "op-1"

        taken = client.intents.capture(held.id, {"metadata": {"capture": "c-1"}})
        assert (taken.status, taken.amount_capturable, taken.amount_received) == (
            "succeeded", 0, 25_000,
        )  # fmt: skip
        assert dict(taken.metadata.to_dict()) == {
            "payment_id": "pay-1", "operation_id": "op-1", "capture": "c-1",
        }  # fmt: skip

        back = client.refunds.create({"payment_intent": held.id, "amount": 1_000})
        rest = client.refunds.create({"payment_intent": held.id})
        assert (back.status, back.amount, rest.amount) == ("succeeded", 1_000, 24_000)
        assert back.charge == taken.latest_charge

        lines = sandbox.lines(authorisation=held.id)
        assert [line["kind"] for line in lines] == ["AUTHORISE", "CAPTURE", "REFUND", "REFUND"]
        assert {(line["acquirer"], line["merchantReference"]) for line in lines} == {
            ("stripe", "pay-1")
        }
        assert (lines[0]["key"], lines[0]["currency"]) == (key, "USD")

    def test_several_captures(self, client: Client) -> None:
        held = client.create()
        first = client.intents.capture(
            held.id, {"amount_to_capture": 10_000, "final_capture": False}
        )
        assert (first.status, first.amount_capturable) == ("requires_capture", 15_000)
        last = client.intents.capture(held.id, {"amount_to_capture": 5_000})
        assert (last.status, last.amount_received, last.amount_capturable) == (
            "succeeded", 15_000, 0,
        )  # fmt: skip

    def test_release_of_what_was_not_captured(self, client: Client) -> None:
        held = client.create()
        client.intents.capture(held.id, {"amount_to_capture": 10_000, "final_capture": False})
        closed = client.intents.capture(held.id, {"amount_to_capture": 0, "final_capture": True})
        assert (closed.status, closed.amount_received) == ("succeeded", 10_000)

    def test_cancel(self, client: Client, sandbox: Sandbox) -> None:
        held = client.create()
        gone = client.intents.cancel(held.id, {"cancellation_reason": "abandoned"})
        assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
        assert abs(gone.canceled_at - time.time()) < 60
        assert client.intents.retrieve(held.id).status == "canceled"
        assert sandbox.lines(authorisation=held.id)[1]["amountMinor"] == 25_000

    def test_a_card_number_is_forgotten(self, client: Client, sandbox: Sandbox) -> None:
        card = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030}
        params = {"payment_method_data": {"type": "card", "card": card}}
        created = client.intents.create(
            {"amount": 5, "currency": "usd", "capture_method": "manual", "confirm": True} | params
        )
        assert created.status == "requires_capture"
        for file in sandbox.book.parent.iterdir():
            assert b"4242424242424242" not in file.read_bytes()


class TestReading:
    def test_lists_newest_first_in_pages(self, own_sandbox: Sandbox) -> None:
        client = Client(own_sandbox)
        names = [client.create().id for _ in range(5)]
        page = client.intents.list({"limit": 2})
        assert [intent.id for intent in page.data] == names[:-3:-1]
        assert page.has_more is True
        every = client.intents.list({"limit": 2}).auto_paging_iter()
        assert [intent.id for intent in every] == names[::-1]
        assert client.intents.list({"created": {"gte": int(time.time()) + 60}}).data == []
        assert len(client.intents.list({"created": {"gte": int(time.time()) - 60}}).data) == 5
        assert client.intents.list({"created": {"lt": int(time.time()) - 60}}).data == []
        client.close()

    def test_lists_the_refunds_of_an_intent(self, client: Client) -> None:
        held = client.create()
        client.intents.capture(held.id)
        made = [
            client.refunds.create({"payment_intent": held.id, "amount": n}).id for n in (1, 2, 3)
        ]
        with pytest.raises(stripe.InvalidRequestError):
            client.refunds.create({"payment_intent": held.id, "amount": 25_000})
        listed = client.refunds.list({"payment_intent": held.id, "limit": 2})
        assert [refund.id for refund in listed.data] == [made[2], made[1]]
        assert [refund.id for refund in listed.auto_paging_iter()] == made[::-1]
        assert client.refunds.retrieve(made[0]).amount == 1

    def test_expands_the_charge(self, client: Client) -> None:
        held = client.create()
        client.intents.capture(held.id)
        found = client.intents.retrieve(held.id, {"expand": ["latest_charge"]})
        assert (found.latest_charge.object, found.latest_charge.captured) == ("charge", True)

    def test_knows_what_it_does_not_know(self, client: Client) -> None:
        for read in (client.intents.retrieve, client.refunds.retrieve, client.intents.cancel):
            with pytest.raises(stripe.InvalidRequestError) as refused:
                read("pi_nobody")
            assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


class TestIdempotency:
    def test_repeats_the_first_answer_for_ever(self, client: Client, sandbox: Sandbox) -> None:
        key = new_key()
        held = client.create(key=key)
        client.intents.capture(held.id)
        again = client.create(key=key)
        assert again.to_dict() == held.to_dict()
        assert again.last_response.headers["Idempotent-Replayed"] == "true"
        assert len(sandbox.lines(key=key)) == 1

    def test_refuses_other_parameters(self, client: Client) -> None:
        key = new_key()
        client.create(key=key)
        with pytest.raises(stripe.IdempotencyError) as refused:
            client.create(key=key, amount=1)
        assert refused.value.http_status == 400

    def test_repeats_a_decline(self, client: Client, sandbox: Sandbox) -> None:
        key = new_key()
        for _ in range(3):
            with pytest.raises(stripe.CardError) as declined:
                client.create("tok_retryable", key)
            assert error_of(declined).decline_code == "issuer_not_available"
        assert len(sandbox.lines(key=key)) == 1

    def test_says_when_the_first_is_in_progress(self, client: Client, sandbox: Sandbox) -> None:
        key, barrier, other = new_key(), Barrier(2), Client(sandbox)

        def create(by: Client) -> Any:
            barrier.wait()
            try:
                return by.create("tok_slow", key).last_response.code
            except stripe.StripeError as error:
                return error.http_status

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(create, (client, other))) == [200, 409]
        other.close()
        assert len(sandbox.lines(key=key)) == 1


class TestDeclines:
    @pytest.mark.parametrize(
        ("method", "code", "decline_code"),
        [
            ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
            ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
            ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ],
    )
    def test_are_card_errors_with_the_intent(
        self, client: Client, method: str, code: str, decline_code: str
    ) -> None:
        with pytest.raises(stripe.CardError) as declined:
            client.create(payment_method=method)
        error = error_of(declined)
        assert (declined.value.http_status, error.code, error.decline_code) == (
            402, code, decline_code,
        )  # fmt: skip
        assert error.payment_intent.status == "requires_payment_method"
        found = client.intents.retrieve(error.payment_intent.id)
        assert found.last_payment_error.decline_code == decline_code
        assert found.payment_method is None

    def test_of_tokens(self, client: Client) -> None:
        assert client.create("tok_visa").status == "requires_capture"
        with pytest.raises(stripe.CardError):
            client.create("tok_chargeDeclined")

    def test_of_a_refund_are_a_failed_refund(self, client: Client) -> None:
        held = client.create("tok_refund_declined")
        client.intents.capture(held.id)
        refund = client.refunds.create({"payment_intent": held.id, "amount": 5})
        assert (refund.status, refund.failure_reason) == ("failed", "declined")


class TestRefusals:
    """Invalid requests on the wire, refused lines in the book."""

    def refused(self, sandbox: Sandbox, about: str, error: Any, code: str, reason: str) -> None:
        assert (error.http_status, error.code) == (400, code)
        assert [line["reason"] for line in sandbox.lines(authorisation=about)][-1] == reason

    def test_over_capture(self, client: Client, sandbox: Sandbox) -> None:
        held = client.create()
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.intents.capture(held.id, {"amount_to_capture": 25_001})
        code, reason = "amount_too_large", "amount_exceeds_authorisation"
        self.refused(sandbox, held.id, refused.value, code, reason)

    def test_over_refund(self, client: Client, sandbox: Sandbox) -> None:
        held = client.create()
        client.intents.capture(held.id)
        client.refunds.create({"payment_intent": held.id, "amount": 24_999})
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.refunds.create({"payment_intent": held.id, "amount": 2})
        code, reason = "amount_too_large", "amount_exceeds_captured"
        self.refused(sandbox, held.id, refused.value, code, reason)
        client.refunds.create({"payment_intent": held.id})
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.refunds.create({"payment_intent": held.id})
        self.refused(sandbox, held.id, refused.value, "charge_already_refunded", reason)

    @pytest.mark.parametrize(
        ("first", "then", "reason"),
        [
            ("cancel", "capture", "already_voided"),
            ("cancel", "cancel", "already_voided"),
            ("capture", "capture", "already_captured"),
            ("capture", "cancel", "already_captured"),
        ],
    )
    def test_wrong_state(
        self, client: Client, sandbox: Sandbox, first: str, then: str, reason: str
    ) -> None:
        held = client.create()
        getattr(client.intents, first)(held.id)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            getattr(client.intents, then)(held.id)
        code = "payment_intent_unexpected_state"
        self.refused(sandbox, held.id, refused.value, code, reason)
        assert error_of(refused).payment_intent.id == held.id


class TestBadInput:
    @pytest.mark.parametrize(
        ("more", "param"),
        [
            ({"amount": 0}, "amount"),
            ({"amount": -5}, "amount"),
            ({"amount": "1e3"}, "amount"),
            ({"amount": 10**13}, "amount"),
            ({"currency": "dollars"}, "currency"),
            ({"capture_method": "automatic"}, "capture_method"),
            ({"confirm": False}, "confirm"),
            ({"payment_method": "pm_card_nobody"}, "payment_method"),
            ({"unheard_of": 1}, "unheard_of"),
            ({"metadata": {"k" * 41: "v"}}, "metadata"),
            ({"metadata": {"k": "v" * 501}}, "metadata"),
            ({"return_url": "javascript:x"}, "return_url"),
            ({"payment_method_data": {"type": "sepa_debit"}}, "payment_method_data[type]"),
        ],
        ids=str,
    )
    def test_names_the_parameter(self, client: Client, more: dict[str, Any], param: str) -> None:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.create(**more)
        assert (refused.value.http_status, refused.value.param) == (400, param)

    @pytest.mark.parametrize(
        "body", [b"\xff", b"a[b]=1&a=2&a[c]=3", b"[]=1", b"a[b][c][d][e][f][g]=1", b"a[=1"]
    )
    def test_of_forms_is_refused(self, sandbox: Sandbox, body: bytes) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        with urllib3.PoolManager(retries=False) as pool:
            url = sandbox.url + "/v1/payment_intents"
            reply = pool.request("POST", url, body=body, headers=headers)
        assert reply.status == 400
        assert reply.json()["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize("given", ["", "Bearer sk_live_x", f"Bearer {SECRET}", "Basic !!"])
    def test_needs_a_test_key(self, sandbox: Sandbox, given: str) -> None:
        reply = sandbox.send("GET", "/v1/payment_intents", Authorization=given)
        assert reply.status == 401
        assert reply.headers["Request-Id"].startswith("req_")

    def test_takes_basic_authentication(self, sandbox: Sandbox) -> None:
        given = urllib3.make_headers(basic_auth=f"{KEY}:")["authorization"]
        assert sandbox.send("GET", "/v1/payment_intents", Authorization=given).status == 200

    def test_unknown_addresses(self, sandbox: Sandbox) -> None:
        for method, path in (("GET", "/v1/charges"), ("DELETE", "/v1/refunds"), ("PUT", "/v1")):
            reply = sandbox.send(method, path, Authorization=f"Bearer {KEY}")
            assert reply.status == 404
            assert reply.json()["error"]["type"] == "invalid_request_error"


class TestDoubts:
    @pytest.mark.parametrize(
        ("token", "books"),
        [
            ("tok_timeout_before", False),
            ("tok_timeout_after_charge", True),
            ("tok_half_body", True),
            ("tok_bad_gateway", True),
            ("tok_bad_gateway_before", False),
        ],
    )
    def test_strike_here_too(
        self, client: Client, sandbox: Sandbox, token: str, books: bool
    ) -> None:
        key = new_key()
        with pytest.raises(
            stripe.APIConnectionError if "gateway" not in token else stripe.APIError
        ):
            client.create(token, key)
        assert len(sandbox.lines(key=key)) == int(books)
        assert client.create(token, key).status == "requires_capture"
        assert len(sandbox.lines(key=key)) == 1

    def test_wrong_amount_is_wrong_once(self, client: Client) -> None:
        held = client.create("tok_wrong_amount")
        assert held.amount == 25_001
        assert client.intents.retrieve(held.id).amount == 25_000

    def test_gates_hold_captures(self, client: Client, sandbox: Sandbox) -> None:
        held = client.create("tok_gate_stripe")
        sandbox.control("gates/stripe", {"closed": True})
        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(client.intents.capture, held.id)
            gate = "/control/gates/stripe"
            wait_until(lambda: sandbox.send("GET", gate).json()["waiting"] == 1)
            assert len(sandbox.lines(authorisation=held.id)) == 1
            sandbox.control("gates/stripe", {"closed": False})
            assert taken.result().status == "succeeded"

    def test_mute_is_heard_neither_alone_nor_in_a_list(self, own_sandbox: Sandbox) -> None:
        client = Client(own_sandbox)
        with pytest.raises(stripe.APIConnectionError):
            client.create("tok_mute_inquiry")
        [line] = own_sandbox.lines()
        for ask, about in (client.intents.list, {}), (client.intents.retrieve, line["reference"]):
            with pytest.raises(stripe.APIError) as unheard:
                ask(about)
            assert unheard.value.http_status == 503
        own_sandbox.control("mute", {"on": False})
        assert [intent.id for intent in client.intents.list().data] == [line["reference"]]
        client.close()

    def test_pending_is_processing_and_then_held(self, client: Client) -> None:
        held = client.create("tok_pending")
        assert held.status == "processing"
        wait_until(lambda: client.intents.retrieve(held.id).status == "requires_capture")

    def test_down_resets(self, client: Client, sandbox: Sandbox) -> None:
        sandbox.control("down", {"acquirer": "stripe", "down": True})
        with pytest.raises(stripe.APIConnectionError):
            client.create()
        sandbox.control("down", {"acquirer": "stripe", "down": False})
        assert client.create().status == "requires_capture"


class TestAuthentication:
    def challenged(self, client: Client) -> Any:
        return client.create(
            payment_method="pm_card_authenticationRequired", return_url="https://shop.example/back"
        )

    @pytest.mark.parametrize(
        ("decision", "status", "told"),
        [
            ("approve", "requires_capture", "succeeded"),
            ("decline", "requires_payment_method", "failed"),
        ],
    )
    def test_is_asked_of_the_payer(
        self, client: Client, decision: str, status: str, told: str
    ) -> None:
        held = self.challenged(client)
        assert (held.status, held.next_action.type) == ("requires_action", "redirect_to_url")
        with urllib3.PoolManager(retries=False) as pool:
            body = f"decision={decision}"
            url = held.next_action.redirect_to_url.url
            reply = pool.request("POST", url, body=body, redirect=False)
        assert reply.headers["Location"] == (
            f"https://shop.example/back?payment_intent={held.id}"
            f"&payment_intent_client_secret={held.client_secret}&redirect_status={told}"
        )
        found = client.intents.retrieve(held.id)
        assert found.status == status
        if decision == "decline":
            code = found.last_payment_error.code
            assert code == "payment_intent_authentication_failure"

    def test_can_be_given_up(self, client: Client, sandbox: Sandbox) -> None:
        held = self.challenged(client)
        gone = client.intents.cancel(held.id, {"cancellation_reason": "abandoned"})
        assert (gone.status, gone.last_payment_error) == ("canceled", None)
        with urllib3.PoolManager(retries=False) as pool:
            url = held.next_action.redirect_to_url.url
            assert pool.request("POST", url, body="decision=approve").status == 409
        lines = [(line["kind"], line["status"]) for line in sandbox.lines(authorisation=held.id)]
        assert lines == [("AUTHORISE", "PENDING"), ("AUTHORISE", "DECLINED"), ("VOID", "APPROVED")]


class TestWebhooks:
    def test_are_events_that_the_library_accepts(self, tmp_path: Path) -> None:
        with receiver() as called:
            sandbox = Sandbox(
                tmp_path / "book.sqlite3", PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL=called.url
            ).start()
            client = Client(sandbox)
            held, gone = client.create(), client.create()
            client.intents.capture(held.id)
            client.refunds.create({"payment_intent": held.id})
            client.intents.cancel(gone.id)
            with pytest.raises(stripe.CardError):
                client.create("tok_declined")
            wait_until(lambda: len(called.received) == 6)
            client.close()
            sandbox.stop()
        events = [
            stripe.Webhook.construct_event(body, headers["stripe-signature"], f"whsec_{SECRET}")
            for headers, body in called.received
        ]
        assert sorted(event.type for event in events) == [
            "charge.refunded",
            "payment_intent.amount_capturable_updated",
            "payment_intent.amount_capturable_updated",
            "payment_intent.canceled",
            "payment_intent.payment_failed",
            "payment_intent.succeeded",
        ]
        [refunded] = [event for event in events if event.type == "charge.refunded"]
        assert refunded.data.object.refunded is True
        assert set(json.loads(called.received[0][1])) >= {"id", "object", "api_version", "request"}


class TestShapes:
    """Every field of Stripe's published samples is there, with a value of its kind."""

    def test_of_an_intent(self, client: Client) -> None:
        held = client.create()
        assert INTENT.problems(held.to_dict()) == []
        with pytest.raises(stripe.CardError) as declined:
            client.create("tok_declined")
        assert INTENT.problems(error_of(declined).payment_intent.to_dict()) == []
        assert INTENT.problems(client.intents.capture(held.id).to_dict()) == []

    def test_of_a_charge_and_a_refund(self, client: Client) -> None:
        held = client.create()
        client.intents.capture(held.id)
        assert REFUND.problems(client.refunds.create({"payment_intent": held.id}).to_dict()) == []
        found = client.intents.retrieve(held.id, {"expand": ["latest_charge"]})
        assert CHARGE.problems(found.latest_charge.to_dict()) == []

    def test_of_something_else_is_noticed(self, client: Client) -> None:
        held = client.create().to_dict()
        assert INTENT.problems(held | {"amount": "25000"}) == ["amount is str"]
        assert INTENT.problems(held | {"status": "held"}) == ["status is 'held'"]
        assert INTENT.problems({name: held[name] for name in held if name != "created"}) == [
            "created is missing"
        ]
        assert INTENT.problems(held | {"own_field": 1}) == ["own_field is not Stripe's"]
