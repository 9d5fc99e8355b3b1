"""Rate limits: exact however many ask at once."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from rest_framework.exceptions import Throttled

from shared.http.addresses import networks
from shared.http.throttling import RateLimit, address_of, subscriber_of
from shared.testing.api import Written, refused
from shared.testing.races import race
from shared.testing.signing import JSON

pytestmark = pytest.mark.django_db

LIMIT = RateLimit("test", capacity=10, refill_per_second=0.001)
THREADS = 8


def is_taken(limit: RateLimit = LIMIT, caller: str = "somebody") -> bool:
    try:
        limit.take(caller)
    except Throttled:
        return False
    return True


def let_pass(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shared.rate_bucket SET refilled_at = refilled_at - make_interval(secs => %s)",
            [seconds],
        )


def assert_exact(taken: Sequence[list[bool]]) -> None:
    """What must hold however many threads ask: the capacity is given out, and no more."""
    assert sum(sum(one) for one in taken) == LIMIT.capacity


class TestRateLimit:
    def test_is_exact_under_eight_threads(self) -> None:
        assert_exact(race([lambda: [is_taken() for _ in range(5)]] * THREADS))

    def test_would_not_be_exact_if_tokens_were_read_and_written(self) -> None:
        """The naive twin: read the bucket, think, write it."""
        is_taken()
        all_read = threading.Barrier(THREADS, timeout=30)
        with pytest.raises(AssertionError):
            assert_exact(race([read_then_write(all_read)] * THREADS))

    def test_gives_what_was_refilled_and_no_more_than_fits(self) -> None:
        assert [is_taken() for _ in range(11)] == [True] * 10 + [False]
        let_pass(3_000)
        assert [is_taken() for _ in range(4)] == [True] * 3 + [False]
        let_pass(1_000_000)
        assert [is_taken() for _ in range(11)] == [True] * 10 + [False]

    def test_costs_nothing_to_be_refused(self) -> None:
        assert [is_taken() for _ in range(15)].count(True) == 10
        let_pass(1_000)
        assert [is_taken(), is_taken()] == [True, False]

    def test_counts_callers_and_names_apart(self) -> None:
        single = RateLimit("single", capacity=1, refill_per_second=0.001)
        assert [is_taken(single, caller) for caller in "aabb"] == [True, False, True, False]
        assert is_taken(RateLimit("another", 1, 0.001), "a")

    def test_says_when_to_come_again(self) -> None:
        limit = RateLimit("slow", capacity=1, refill_per_second=0.1)
        limit.take("a")
        with pytest.raises(Throttled) as refusal:
            limit.take("a")
        assert vars(refusal.value)["wait"] == 10


def read_then_write(all_read: threading.Barrier) -> Callable[[], list[bool]]:
    def take_twice() -> list[bool]:
        taken = []
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute("SELECT tokens FROM shared.rate_bucket")
                (tokens,) = cursor.fetchone()
                all_read.wait()
                if tokens >= 1:
                    cursor.execute("UPDATE shared.rate_bucket SET tokens = %s", [tokens - 1])
                taken.append(tokens >= 1)
        return taken

    return take_twice


class TestRegistration:
    def register(self, number: int, **environ: Any) -> Any:
        body = {"name": "Acme", "email": f"{number}@example.com"}
        return Client().post("/api/v1/merchants/register", body, content_type=JSON, **environ)

    def test_is_limited_per_address(self, settings: Any) -> None:
        settings.REGISTRATIONS_PER_HOUR = 3
        assert [self.register(number).status_code for number in range(3)] == [201] * 3
        before = Written.now()
        answer = self.register(4)
        refused(answer, 429, "too_many_requests")
        assert 1200 <= int(answer.headers["Retry-After"]) <= 1202
        assert Written.now() == before
        assert self.register(4, REMOTE_ADDR="192.0.2.1").status_code == 201

    def test_is_limited_whatever_headers_say(self, settings: Any) -> None:
        settings.REGISTRATIONS_PER_HOUR = 1
        self.register(1)
        for header in ("X_FORWARDED_FOR", "X_REAL_IP", "FORWARDED", "REMOTE_ADDR"):
            answer = self.register(2, **{f"HTTP_{header}": "192.0.2.1"})
            refused(answer, 429, "too_many_requests")

    def test_is_not_used_up_by_what_can_register_nobody(self, settings: Any) -> None:
        """Or one who sends nonsense would shut the door for all who share the address."""
        settings.REGISTRATIONS_PER_HOUR = 1
        bodies = (b"{", b"[]", b"{}", b'{"name": "Acme", "email": "x"}', b'{"admin": true}')
        for body in bodies * 2:
            answer = Client().post("/api/v1/merchants/register", body, content_type=JSON)
            assert answer.status_code == 400
        assert self.register(1).status_code == 201

    def test_is_used_up_by_asking_who_is_registered(self, settings: Any) -> None:
        settings.REGISTRATIONS_PER_HOUR = 3
        statuses = [self.register(1).status_code for _ in range(6)]
        assert statuses == [201, 409, 409, 429, 429, 429]
        assert self.register(1, REMOTE_ADDR="192.0.2.1").status_code == 409
        assert self.register(2, REMOTE_ADDR="192.0.2.1").status_code == 201

    def test_is_not_prolonged_by_knocking(self, settings: Any) -> None:
        settings.REGISTRATIONS_PER_HOUR = 1
        assert [self.register(n).status_code for n in range(5)] == [201, 429, 429, 429, 429]
        let_pass(3600)
        assert self.register(5).status_code == 201


class TestAddressOf:
    @pytest.mark.parametrize(
        ("forwarded", "expected"),
        [
            ("", "10.0.0.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("1.2.3.4, 192.0.2.1", "192.0.2.1"),
            ("1.2.3.4, 192.0.2.1, 10.9.9.9", "192.0.2.1"),
            ("10.9.9.9", "10.9.9.9"),
            ("1.2.3.4, nonsense", "10.0.0.1"),
            ("1.2.3.4, nonsense, 10.9.9.9", "10.9.9.9"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("1.2.3.4,", "10.0.0.1"),
            ("1.2.3.4, 192.0.2.1:5678", "192.0.2.1"),
            ("[2001:db8::1]:5678, 10.9.9.9:1", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("192.0.2.1:5678:9", "10.0.0.1"),
        ],
    )
    def test_behind_proxies_of_ours_is_the_last_that_is_not(
        self, forwarded: str, expected: str, settings: Any
    ) -> None:
        settings.TRUSTED_PROXIES = networks("10.0.0.0/8")
        request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
        assert address_of(request) == expected

    def test_counts_ipv6_by_subscriber(self) -> None:
        request = RequestFactory().get("/", REMOTE_ADDR="2001:db8::1:2:3:4")
        assert subscriber_of(request) == "2001:db8::/64"

    def test_is_the_connections(self) -> None:
        request = RequestFactory().get("/", REMOTE_ADDR="::1", HTTP_X_FORWARDED_FOR="192.0.2.1")
        assert address_of(request) == "::1"
