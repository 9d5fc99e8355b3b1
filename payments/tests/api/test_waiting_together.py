"""
Many requests that wait at once: a slow merchant's, its neighbours', and one of them many times.

As in a process of 32 threads there are 16 places to wait at. A dispatcher decides everybody's
payments, but the slow ones not before a gate opens.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from payments.models import Payment
from payments.tests.conftest import SlowProcessor, dispatching, until
from shared.http import waiting
from shared.http.waiting import Places
from shared.testing.api import payment_body, registered_merchant
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

PLACES, ALONE = 16, 9
"""All places, and how many one merchant takes when nobody else waits."""
IDENTICAL, FOREIGN = 32, 64
SLOW = {"amount": "66.66"}


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, slow_processor: SlowProcessor) -> Places:
    slow_processor.is_slow = lambda instruction: instruction.amount_minor == 6_666
    places = Places(PLACES)
    monkeypatch.setattr(waiting, "_places", places)
    return places


class AnybodysPlaces(Places):
    """The naive twin: a semaphore that knows no merchants."""

    def _has_one_for(self, merchant_id: UUID) -> bool:
        return self._count > self._held.total()


@dataclass(frozen=True)
class Told:
    """What a caller learns."""

    status: int
    body: bytes
    is_replay: bool
    document: dict[str, Any]

    @classmethod
    def by(cls, answer: Any) -> "Told":
        is_replay = "Idempotent-Replayed" in answer.headers
        return cls(answer.status_code, answer.content, is_replay, answer.json())


def post(merchant: SigningClient, path: str, body: dict[str, Any]) -> Told:
    """The answer to a request that waits, sent by a thread with a connection of its own."""
    client = SigningClient(merchant.merchant_id, merchant.api_key)
    try:
        return Told.by(client.post(path, body, HTTP_PREFER="wait=30"))
    finally:
        connections.close_all()


def authorise(merchant: SigningClient, body: dict[str, Any]) -> Told:
    return post(merchant, "/payments/authorize", body)


def all_at_once(asked: Sequence[tuple[SigningClient, dict[str, Any]]]) -> list[Told]:
    """The answers, in order; half of them at a time, for PostgreSQL serves other tests, too."""
    works = [partial(authorise, *one) for one in asked]
    half = len(works) // 2
    return race(works[:half]) + race(works[half:])


@contextmanager
def waiting_for(
    merchant: SigningClient, bodies: Sequence[dict[str, Any]], *, at: int, processor: SlowProcessor
) -> Iterator[list[Future[Told]]]:
    """These requests at once, of which so many wait while the gate is closed."""
    with dispatching(), ThreadPoolExecutor(len(bodies)) as pool:
        asked = [pool.submit(authorise, merchant, body) for body in bodies]
        until(lambda: sum(one.done() for one in asked) == len(bodies) - at)
        try:
            yield asked
        finally:
            processor.gate.set()


class TestManyAtOnce:
    def test_each_gets_its_own_answer_and_the_same_ones_the_same_bytes(
        self, slow_processor: SlowProcessor
    ) -> None:
        loud, body = registered_merchant(), payment_body(**SLOW)
        neighbours = [registered_merchant() for _ in range(FOREIGN // 4)]
        foreign = [(neighbour, payment_body()) for neighbour in neighbours for _ in range(4)]
        with waiting_for(loud, [body] * IDENTICAL, at=ALONE, processor=slow_processor) as identical:
            first = all_at_once(foreign)
            until(lambda: Payment.objects.filter(status="AUTHORISED").count() == FOREIGN)
            again = all_at_once(foreign)
            assert sum(one.done() for one in identical) == IDENTICAL - ALONE
        self.check_foreign(foreign, first, again)
        self.check_identical(
            [one.result(30) for one in identical],
            race([partial(authorise, loud, body)] * IDENTICAL),
        )
        assert Payment.objects.count() == len(slow_processor.calls) == FOREIGN + 1

    def check_foreign(
        self,
        foreign: Sequence[tuple[SigningClient, dict[str, Any]]],
        first: Sequence[Told],
        again: Sequence[Told],
    ) -> None:
        assert {told.status for told in first} <= {201, 202}
        for (merchant, _), early, late in zip(foreign, first, again, strict=True):
            assert (late.status, late.document["status"]) == (201, "AUTHORISED")
            assert (late.document["merchantId"], late.is_replay) == (merchant.merchant_id, True)
            assert early.document["paymentId"] == late.document["paymentId"]
            assert not early.is_replay
            assert early.status == 202 or early.body == late.body
        assert len({told.document["paymentId"] for told in again}) == FOREIGN

    def check_identical(self, first: Sequence[Told], again: Sequence[Told]) -> None:
        undecided = [told for told in first if told.status == 202]
        decided = [told for told in first if told.status == 201]
        assert (len(undecided), len(decided)) == (IDENTICAL - ALONE, ALONE)
        assert {(told.document["status"], told.is_replay) for told in undecided} == {
            ("PENDING", False)
        }
        assert {told.body for told in (*decided, *again)} == {decided[0].body}
        assert {(told.status, told.is_replay) for told in again} == {(201, True)}


class TestNeighbour:
    def test_gets_decisions_while_another_one_waits_for_slow_calls(
        self, slow_processor: SlowProcessor
    ) -> None:
        self.check_neighbour(slow_processor, at=ALONE)

    def test_would_get_none_if_places_were_anybodys(
        self, slow_processor: SlowProcessor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waiting, "_places", AnybodysPlaces(PLACES))
        with pytest.raises(AssertionError, match="202"):
            self.check_neighbour(slow_processor, at=PLACES)

    def check_neighbour(self, processor: SlowProcessor, *, at: int) -> None:
        loud, neighbour = registered_merchant(), registered_merchant()
        slow = [payment_body(**SLOW) for _ in range(PLACES)]
        with waiting_for(loud, slow, at=at, processor=processor) as asked:
            lanes = race([partial(self.pay_and_capture, neighbour, 7)] * 4)
            assert not any(one.done() and one.result().status == 201 for one in asked)
        told = [answer for lane in lanes for answer in lane]
        assert [answer.status for answer in told] == [201, 200] * (len(told) // 2)
        assert not any(answer.document["inDoubt"] for answer in told)

    def pay_and_capture(self, merchant: SigningClient, times: int) -> list[Told]:
        told = []
        for number in range(times):
            paid = authorise(merchant, payment_body())
            path = f"/payments/{paid.document['paymentId']}/capture"
            told += [paid, post(merchant, path, {"idempotencyKey": f"{path} {number}"})]
        return told
