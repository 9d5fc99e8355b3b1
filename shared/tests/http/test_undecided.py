"""Undecided answers: told anew to every repeat, and stored once there is a decision."""

import time
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.event_bus import drain
from shared.http.idempotency import Answer, _Attempt
from shared.models import IdempotencyKeyInUse
from shared.testing.api import payment_body, registered_merchant
from shared.testing.races import race
from shared.testing.signing import SigningClient
from shared.tests.http.test_idempotency import (
    KEY,
    RUNNERS,
    Told,
    assert_one_effect,
    count,
    execute,
    record,
)

pytestmark = pytest.mark.django_db


class TestUndecided:
    """What was answered before the decision is told anew, and nobody keeps it."""

    def test_is_never_stored(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        for headers in ({}, {}, {"HTTP_PREFER": "wait=1"}, {"HTTP_PREFER": "wait=0"}):
            answer = merchant.post("/payments", body, **headers)
            assert Told.by(answer) == Told(202, answer.content, is_replay=False)
            assert record(merchant) == (None, None)
        assert count("payments.payment") == 1

    def test_ends_with_the_first_look_after_the_decision(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        drain()
        assert record(merchant) == (None, None)
        told = [Told.by(merchant.post("/payments", body)) for _ in range(2)]
        assert told[0] == told[1]
        assert (told[0].status, told[0].is_replay) == (201, True)
        assert b'"AUTHORISED"' in told[0].body

    def test_shows_the_state_as_it_is(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        execute("UPDATE payments.payment SET in_doubt = true")
        assert merchant.post("/payments", body).json()["inDoubt"] is True

    def test_repeat_waits_as_it_says_itself(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        begun = time.monotonic()
        assert merchant.post("/payments", body).status_code == 202
        assert time.monotonic() - begun < 1
        assert merchant.post("/payments", body, HTTP_PREFER="wait=1").status_code == 202
        assert time.monotonic() - begun >= 1

    def test_of_a_first_request_may_end_with_another_ones_bytes(
        self, merchant: SigningClient
    ) -> None:
        body = payment_body(idempotencyKey=KEY)
        told: list[Told] = []

        def look(payment_id: UUID) -> Answer:
            told.append(Told.by(merchant.post("/payments", body)))  # looks between look and store
            return Answer(201, {"status": "SEEN LATER"})

        subject_id = UUID(merchant.post("/payments", body).json()["paymentId"])
        drain()
        attempt = _Attempt(UUID(merchant.merchant_id), KEY, b"", timedelta(days=1))
        late = attempt._look(subject_id, look, is_repeat=False)
        assert (late.status_code, late.data, "Idempotent-Replayed" in late.headers) == (
            201,
            told[0].body,
            False,
        )

    def test_is_not_stored_for_another_request_that_has_the_key_by_now(
        self, merchant: SigningClient
    ) -> None:
        merchant.post("/payments", payment_body(idempotencyKey=KEY))
        attempt = _Attempt(UUID(merchant.merchant_id), KEY, b"", timedelta(days=1))
        with pytest.raises(IdempotencyKeyInUse):
            attempt._look(uuid4(), lambda subject_id: Answer(201, {}), is_repeat=False)
        assert record(merchant) == (None, None)

    def test_ends_once_for_all_who_look_at_once(self) -> None:
        merchant = registered_merchant()
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        drain()

        def ask() -> Told:
            client = SigningClient(merchant.merchant_id, merchant.api_key)
            return Told.by(client.post("/payments", body))

        told = race([ask] * RUNNERS)
        assert_one_effect(told, count("payments.payment"), status=201)

    def test_would_be_repeated_for_ever_if_it_were_stored(
        self, merchant: SigningClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The naive twin: whatever is answered is stored.
        always = property(lambda answer: True, lambda answer, is_decided: None)
        monkeypatch.setattr(Answer, "is_decided", always)
        body = payment_body(idempotencyKey=KEY)
        first = merchant.post("/payments", body)
        drain()
        assert Told.by(merchant.post("/payments", body)) == Told(202, first.content, is_replay=True)
