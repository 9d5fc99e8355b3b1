"""The client against a stand-in that answers as it is told, and notes what reached it."""

import json
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from payflow.client import Client, NoAnswer, Patience, Refused
from payflow.tests.client.stand_in import KEY, LOST, MERCHANT, Platform, refusal


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with closing(platform.client()) as client:
        yield client


BUSY = (
    LOST,
    refusal(503, "unavailable"),
    refusal(429, "too_many_requests"),
    refusal(409, "idempotency_key_in_use"),
    refusal(500, "internal_error"),
    (502, b"<html>a proxy</html>"),
)


class TestSigning:
    def test_is_version_2_unless_told_otherwise(self, platform: Platform, client: Client) -> None:
        client.get("/payments", limit=5, status="AUTHORISED")
        client.post("/payments", {"amount": "1.00"})
        client.delete("/tokens/tok_1")
        assert all(request.is_signed(2) for request in platform.received)
        read, paid, deleted = platform.received
        assert (read.method, read.target) == (
            "GET",
            "/api/v1/payments?limit=5&status=AUTHORISED",
        )
        assert (read.body, read.key) == (b"", "")
        assert (json.loads(paid.body), len(paid.key)) == ({"amount": "1.00"}, 36)
        assert paid.headers["content-type"] == "application/json"
        assert (deleted.method, deleted.body, len(deleted.key)) == ("DELETE", b"", 36)

    def test_in_version_1_puts_the_key_into_the_body(self, platform: Platform) -> None:
        with closing(platform.client(version=1)) as client:
            client.get("/payments?limit=5")
            client.post("/payments", {"amount": "1.00"}, idempotency_key="order-1")
            client.post("/tokens", {})
        assert all(request.is_signed(1) and not request.key for request in platform.received)
        assert json.loads(platform.received[1].body) == {
            "amount": "1.00",
            "idempotencyKey": "order-1",
        }
        assert len(json.loads(platform.received[2].body)["idempotencyKey"]) == 36

    @pytest.mark.parametrize(
        "path",
        [
            "/payments/ü",
            "/payments/a b",
            "/tokens/tok%2f1",
            "/tokens/%ZZ",
            "/payments?a=1&b=%20ü&c=a+b",
            "/x/../payments",
            "/payments//x;y=1,2",
            "/payments?",
            "/a'b(c)*~",
        ],
    )
    def test_is_of_the_target_that_goes_over_the_wire(
        self, path: str, platform: Platform, client: Client
    ) -> None:
        client.get(path)
        assert platform.received[0].is_signed(2), platform.received[0].target

    def test_shows_no_key_to_who_looks_at_it(self, client: Client) -> None:
        assert KEY not in repr(client)


class TestRepeating:
    @pytest.mark.parametrize("busy", BUSY, ids=str)
    def test_is_done_with_the_same_key_and_bytes(
        self, busy: Any, platform: Platform, client: Client
    ) -> None:
        platform.script = [busy, busy, busy, (201, {"paymentId": "1"})]
        reasons: list[str] = []
        answer = client.post(
            "/payments", {"amount": "1.00"}, wait_seconds=10, on_retry=reasons.append
        )
        assert (answer.status, answer.document, answer.code) == (201, {"paymentId": "1"}, "")
        assert len(platform.received) == 4
        assert {request.key for request in platform.received} == {answer.idempotency_key}
        assert {request.body for request in platform.received} == {b'{"amount": "1.00"}'}
        assert all(request.is_signed(2) for request in platform.received)
        assert {request.headers["prefer"] for request in platform.received} == {"wait=10"}
        assert len(reasons) == 3 and len(set(reasons)) == 1
        assert reasons[0] == "connection lost" or str(busy[0]) in reasons[0]

    def test_signs_anew_when_time_has_passed(
        self, platform: Platform, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = iter([1_800_000_000.0, 1_800_000_400.0])
        own_clock = SimpleNamespace(time=lambda: next(times))
        monkeypatch.setattr("payflow.client.signing.time", own_clock)
        platform.script = [LOST]
        client.post("/payments", {})
        first, second = platform.received
        assert (first.headers["x-timestamp"], second.headers["x-timestamp"]) == (
            "1800000000",
            "1800000400",
        )
        assert first.is_signed(2) and second.is_signed(2)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"idempotency_key": "order-1"}, "order-1"),
            ({"idempotency_key": "order-1", "document": {"idempotencyKey": "x"}}, "order-1"),
            ({"document": {"idempotencyKey": "order-2"}}, "order-2"),
        ],
    )
    def test_keeps_a_key_that_was_given(
        self, given: Any, expected: str, platform: Platform, client: Client
    ) -> None:
        platform.script = [LOST]
        answer = client.post("/payments", given.pop("document", {}), **given)
        assert answer.idempotency_key == expected
        assert [request.key for request in platform.received] == [expected] * 2

    @pytest.mark.parametrize(
        "told",
        [
            refusal(400, "validation_failed"),
            refusal(401, "invalid_signature"),
            refusal(409, "idempotency_key_reused"),
            refusal(409, "payment_not_capturable"),
            refusal(422, "processor_declined"),
            (302, {"code": "302"}, {"Location": "/elsewhere"}),
        ],
        ids=str,
    )
    def test_is_not_done_after_a_refusal(
        self, told: Any, platform: Platform, client: Client
    ) -> None:
        platform.script = [told]
        answer = client.post("/payments", {})
        assert (answer.status, answer.code, answer.is_success) == (
            told[0],
            told[1]["code"],
            False,
        )
        assert len(platform.received) == 1

    def test_ends_with_the_last_answer(self, platform: Platform) -> None:
        platform.script = [refusal(503, "unavailable")] * 1000
        with closing(platform.client(patience=Patience(0.2, 0.01, 0.02))) as client:
            answer = client.get("/payments")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert 2 <= len(platform.received) <= 60

    def test_ends_without_an_answer_and_tells_the_key(self, platform: Platform) -> None:
        platform.script = [LOST] * 1000
        with closing(platform.client(patience=Patience(0.2, 0.01, 0.02))) as client:
            with pytest.raises(NoAnswer) as none:
                client.post("/payments", {}, idempotency_key="order-1")
        assert none.value.idempotency_key == "order-1"
        assert len(platform.received) >= 2

    def test_does_not_wait_longer_than_its_patience(self, platform: Platform) -> None:
        platform.script = [refusal(429, "too_many_requests", **{"Retry-After": "36"})]
        with closing(platform.client(patience=Patience(1))) as client:
            assert client.get("/payments").code == "too_many_requests"
        assert len(platform.received) == 1

    def test_waits_as_it_is_asked_to(
        self, platform: Platform, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr("payflow.client.client.time.sleep", pauses.append)
        platform.script = [
            refusal(429, "too_many_requests", **{"Retry-After": "2"}),
            refusal(503, "unavailable", **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        ]
        assert client.get("/payments").status == 200
        assert pauses[0] == 2.0
        assert pauses[1] < 0.01

    def test_pauses_longer_each_time_up_to_a_limit(self) -> None:
        patience = Patience(60, first_pause_seconds=0.1, longest_pause_seconds=5)
        for tries in (*range(1, 30), 10_000):
            longest = min(5.0, 0.1 * 2 ** min(tries - 1, 60))
            pauses = [patience.pause_seconds(tries) for _ in range(20)]
            assert all(longest / 2 <= pause <= longest for pause in pauses)
            assert len(set(pauses)) > 1  # clients that failed together do not come back together


class TestItems:
    def test_come_from_all_pages(self, platform: Platform, client: Client) -> None:
        platform.script = [
            (200, {"data": [{"n": 1}, {"n": 2}], "nextCursor": "a/b="}),
            LOST,
            (200, {"data": [{"n": 3}], "nextCursor": "c"}),
            (200, {"data": [], "nextCursor": None}),
        ]
        found = [item["n"] for item in client.items("/payments", limit=2)]
        assert found == [1, 2, 3]
        assert [request.target.partition("?")[2] for request in platform.received] == [
            "limit=2",
            "limit=2&cursor=a%2Fb%3D",
            "limit=2&cursor=a%2Fb%3D",
            "limit=2&cursor=c",
        ]

    def test_are_fetched_as_they_are_wanted(self, platform: Platform, client: Client) -> None:
        platform.script = [(200, {"data": [{"n": 1}], "nextCursor": "a"})]
        assert next(client.items("/payments")) == {"n": 1}
        assert len(platform.received) == 1

    def test_of_a_list_without_pages_are_all_of_it(
        self, platform: Platform, client: Client
    ) -> None:
        platform.script = [(200, {"data": [{"n": 1}]})]
        assert list(client.items("/merchants/keys")) == [{"n": 1}]

    def test_end_with_a_refusal(self, platform: Platform, client: Client) -> None:
        platform.script = [refusal(400, "invalid_query")]
        with pytest.raises(Refused, match="400 invalid_query"):
            list(client.items("/payments", limit=0))


class TestRegistration:
    def test_gives_a_client(self, platform: Platform) -> None:
        platform.script = [(201, {"merchantId": MERCHANT, "apiKey": KEY})]
        with closing(Client.register(platform.api, name="Acme", email="a@b.example")) as client:
            client.get("/merchants/me")
        registered, read = platform.received
        assert json.loads(registered.body) == {"name": "Acme", "email": "a@b.example"}
        assert "x-signature" not in registered.headers
        assert read.is_signed(2)

    def test_may_be_refused(self, platform: Platform) -> None:
        platform.script = [refusal(409, "merchant_exists")]
        with pytest.raises(Refused, match="merchant_exists"):
            Client.register(platform.api, name="Acme", email="a@b.example")
