"""The merchants that hammer and torture play: what they add to the client."""

from collections import Counter
from contextlib import closing

from payflow.client import Patience
from payflow.runtime.hammer.client import RacingMerchant
from payflow.runtime.torture.client import Demand, InsistentMerchant
from payflow.tests.client.stand_in import LOST, Platform, refusal

PAYMENT = {"paymentId": "1", "status": "AUTHORISED"}


class TestRacingMerchant:
    def test_follows_what_is_undecided(self, platform: Platform) -> None:
        platform.script = [
            (202, {"paymentId": "1", "status": "PENDING"}),
            (202, {"paymentId": "1", "status": "PENDING"}),
            (200, PAYMENT),
        ]
        with closing(platform.client()) as client:
            told = RacingMerchant(client).demand("/payments", amount="1.00")
        assert (told.status, told.document, told.code) == (200, PAYMENT, "")
        asked = {(request.target, request.body) for request in platform.received}
        assert (len(platform.received), len(asked)) == (3, 1), "the same request, key and all"

    def test_knows_who_lost(self, platform: Platform) -> None:
        platform.script = [refusal(409, "idempotency_key_in_use"), refusal(409, "already_captured")]
        with closing(platform.client()) as client:
            merchant = RacingMerchant(client)
            assert merchant.demand("/payments/1/capture").code == "already_captured"
        assert merchant.server_errors == []

    def test_remembers_an_error_that_a_repeat_hid(self, platform: Platform) -> None:
        platform.script = [
            refusal(503, "unavailable"),
            refusal(500, "internal_error"),
            (201, PAYMENT),
        ]
        with closing(platform.client()) as client:
            merchant = RacingMerchant(client)
            assert merchant.demand("/payments").is_done
        assert merchant.server_errors == ["the platform answered 500 internal_error"]


class TestInsistentMerchant:
    def test_counts_what_went_wrong_on_the_way(self, platform: Platform) -> None:
        platform.script = [LOST, LOST, refusal(503, "unavailable"), (202, PAYMENT)]
        demand = Demand("/payments", {"amount": "1.00"})
        with closing(platform.client()) as client:
            InsistentMerchant(client).settle(demand)
        assert (demand.status, demand.document) == (202, PAYMENT)
        assert demand.errors == Counter({"connection lost": 2, "503 unavailable": 1})
        assert {request.key for request in platform.received} == {demand.key}

    def test_leaves_a_demand_unanswered_when_its_patience_ends(self, platform: Platform) -> None:
        for told in (LOST, refusal(503, "unavailable")):
            platform.script = [told] * 1000
            demand = Demand("/payments", {})
            with closing(platform.client(patience=Patience(0.1, 0.01, 0.02))) as client:
                InsistentMerchant(client).settle(demand)
                assert InsistentMerchant(client).find("/payments/1") is None
            assert not demand.is_answered
