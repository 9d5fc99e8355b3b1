"""Collections in pages: nothing skipped, nothing twice, and no cursor that breaks."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import time_machine
from django.db import connection

from shared import clock
from shared.event_bus import drain
from shared.testing.api import payment_body, refused
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def pay(merchant: SigningClient, count: int) -> list[str]:
    """The ids of new payments, oldest first."""
    answers = [merchant.post("/payments", payment_body()) for _ in range(count)]
    return [answer.json()["paymentId"] for answer in answers]


def pages(merchant: SigningClient, path: str) -> Iterator[list[dict[str, Any]]]:
    separator, cursor = "&" if "?" in path else "?", ""
    while cursor is not None:
        after = f"{separator}cursor={quote(cursor)}" if cursor else ""
        answer = merchant.get(path + after)
        assert answer.status_code == 200, answer.content
        yield answer.json()["data"]
        cursor = answer.json()["nextCursor"]


def ids(payments: list[dict[str, Any]]) -> list[str]:
    return [payment["paymentId"] for payment in payments]


def cursor_of(*members: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()


class TestPages:
    def test_skip_and_repeat_nothing_while_rows_are_added(self, merchant: SigningClient) -> None:
        before = pay(merchant, 10)
        seen: list[str] = []
        for page in pages(merchant, "/payments?limit=3"):
            seen += ids(page)
            pay(merchant, 2)
        assert seen == before[::-1]

    def test_would_repeat_rows_if_they_were_counted(self, merchant: SigningClient) -> None:
        """The naive twin: OFFSET moves with every insert."""
        before = pay(merchant, 10)
        seen: list[str] = []
        for offset in (0, 3, 6, 9):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT id FROM payments.payment ORDER BY created_at DESC, id DESC"
                    " OFFSET %s LIMIT 3",
                    [offset],
                )
                seen += [str(row[0]) for row in cursor.fetchall()]
            pay(merchant, 2)
        assert len(seen) > len(set(seen))
        assert not set(before) <= set(seen)

    def test_order_rows_of_one_instant_by_id(self, merchant: SigningClient) -> None:
        with time_machine.travel(clock.now(), tick=False):
            before = pay(merchant, 7)
            seen = [row for page in pages(merchant, "/payments?limit=2") for row in ids(page)]
        assert seen == sorted(before, reverse=True)

    def test_of_events_end_too(self, merchant: SigningClient) -> None:
        pay(merchant, 2)
        drain()
        events = [row for page in pages(merchant, "/audit/events?limit=4") for row in page]
        assert len({event["eventId"] for event in events}) == len(events) > 8

    def test_hold_what_was_asked_for(self, merchant: SigningClient) -> None:
        pay(merchant, 21)
        assert [len(page) for page in pages(merchant, "/payments")] == [20, 1]
        assert [len(page) for page in pages(merchant, "/payments?limit=7")] == [7, 7, 7]
        assert [len(page) for page in pages(merchant, "/payments?limit=100")] == [21]
        assert [len(page) for page in pages(merchant, "/payments?status=DECLINED")] == [0]

    def test_are_of_one_merchant(self, merchant: SigningClient, other: SigningClient) -> None:
        pay(merchant, 3)
        (theirs,) = pay(other, 1)
        foreign = merchant.get("/payments?limit=1").json()["nextCursor"]
        assert [ids(page) for page in pages(other, "/payments")] == [[theirs]]
        assert other.get(f"/payments?cursor={foreign}").json()["data"] == []


class TestTimes:
    def test_begin_inclusive_and_end_exclusive(self, merchant: SigningClient) -> None:
        with time_machine.travel(NOON, tick=False):
            (at_noon,) = pay(merchant, 1)
        second, microsecond = timedelta(seconds=1), timedelta(microseconds=1)

        def between(start: datetime, end: datetime) -> list[str]:
            query = f"createdFrom={quote(start.isoformat())}&createdTo={quote(end.isoformat())}"
            return ids(merchant.get(f"/payments?{query}").json()["data"])

        assert between(NOON, NOON + microsecond) == [at_noon]
        assert between(NOON - second, NOON) == []
        assert between(NOON + microsecond, NOON + second) == []

    @pytest.mark.parametrize(
        "text",
        [
            "2026-06-01T12:00:00Z",
            "2026-06-01T14:00:00+02:00",
            "2026-06-02T11:59:00+23:59",
            "2026-05-31T12:01:00-23:59",
            "2026-06-01T12:00:30.5+00:00:30.5",
            "20260601T120000Z",
        ],
    )
    def test_are_the_same_in_every_zone(self, merchant: SigningClient, text: str) -> None:
        with time_machine.travel(NOON, tick=False):
            (at_noon,) = pay(merchant, 1)
        assert ids(merchant.get(f"/payments?createdFrom={quote(text)}").json()["data"]) == [at_noon]
        assert merchant.get(f"/payments?createdTo={quote(text)}").json()["data"] == []

    def test_at_the_ends_of_the_calendar_do_not_break(self, merchant: SigningClient) -> None:
        (paid,) = pay(merchant, 1)
        first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
        query = f"createdFrom={first}&createdTo={last}"
        assert ids(merchant.get(f"/payments?{query}").json()["data"]) == [paid]


REFUSED_QUERIES = [
    *[
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=",
        "limit=1.0",
        "limit=1e1",
        "limit=+5",
        "limit=x",
    ],
    *[
        "limit=%D9%A3",
        "limit=%C2%B2",
        "limit=1%00",
        "limit=" + "9" * 5000,
        "limit=1_0",
        "limit=%205",
    ],
    *["limit=1&limit=2", "cursor=&cursor=", "limit[]=1", "offset=1", "page=2", "Limit=1", "%00=1"],
    *["status=pending", "status=", "status=CAPTUREDD", "status=PENDING%00", "status=%FF"],
    *["createdFrom=", "createdFrom=now", "createdFrom=1700000000", "createdFrom=2026-06-01"],
    *["createdFrom=2026-06-01T12:00:00", "createdFrom=2026-06-01T12:00:00+00:00"],  # "+" is a space
    *["createdFrom=2026-13-01T00:00:00Z", "createdFrom=2026-02-30T00:00:00Z"],
    *["createdFrom=0000-01-01T00:00:00Z", "createdFrom=10000-01-01T00:00:00Z"],
    *["createdFrom=0001-01-01T00:00:00%2B00:01", "createdTo=9999-12-31T23:59:59-00:01"],
    *["createdFrom=0001-01-01T00:00:00%2B23:59", "createdTo=9999-12-31T23:59:59-23:59"],
    *["createdFrom=2026-06-01T12:00:00%2B24:00", "createdFrom=2026-06-01T24:00:01Z"],
    *["createdFrom=%ED%A0%80", "createdFrom=2026-06-01%0012:00:00Z", "createdFrom=infinity"],
    *["cursor=", "cursor=x", "cursor=%00", "cursor=%F0%9F%92%A9", "cursor=" + "A" * 4000],
]
AN_INSTANT, AN_ID = "2026-06-01T12:00:00.000000Z", str(uuid4())
HOSTILE_CURSORS = [
    cursor_of(),
    cursor_of(AN_INSTANT),
    cursor_of(AN_INSTANT, AN_ID, "more"),
    cursor_of(AN_INSTANT, None),
    cursor_of(AN_INSTANT, 1),
    cursor_of(AN_INSTANT, 10**40),
    cursor_of(AN_INSTANT, [AN_ID]),
    cursor_of(AN_INSTANT, "z" * 36),
    cursor_of(AN_INSTANT, "-" * 36),
    cursor_of(AN_INSTANT, "\0" * 36),
    cursor_of(AN_INSTANT, "\ud800"),
    cursor_of(AN_INSTANT, ""),
    cursor_of(AN_INSTANT, "x" * 10_000)[:4000],
    cursor_of(None, AN_ID),
    cursor_of(0, AN_ID),
    cursor_of(1e308, AN_ID),
    cursor_of(10**40, AN_ID),
    cursor_of("", AN_ID),
    cursor_of("now", AN_ID),
    cursor_of("infinity", AN_ID),
    cursor_of("2026-06-01", AN_ID),
    cursor_of("2026-06-01T12:00:00", AN_ID),
    cursor_of("0001-01-01T00:00:00+23:59", AN_ID),
    cursor_of("9999-12-31T23:59:59-23:59", AN_ID),
    cursor_of("2026-06-01\x0012:00:00", AN_ID),
    cursor_of("2026-06-01\ud80012:00:00", AN_ID),
    cursor_of({"a": 1}, AN_ID),
    base64.urlsafe_b64encode(b'{"a": 1, "b": 2}').decode(),
    base64.urlsafe_b64encode(b"[NaN, Infinity]").decode(),
    base64.urlsafe_b64encode(b"[" + b"1" * 2000 + b', "1"]').decode(),
    base64.urlsafe_b64encode(b"[" * 3000).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe[\0]\0").decode(),
    base64.urlsafe_b64encode(b"ab").decode(),
]
# Well formed, of no row: what comes after them may be asked for.
STRANGE_CURSORS = [
    cursor_of("2026-W23-1T12:00:00Z", AN_ID),
    cursor_of("2026-06-01T12:00:00+23:59", AN_ID),
    cursor_of("0001-01-01T00:00:00Z", AN_ID),
    cursor_of("9999-12-31T23:59:59Z", AN_ID),
]


class TestQuery:
    def test_that_is_not_acceptable_is_400(self, merchant: SigningClient) -> None:
        for query in REFUSED_QUERIES:
            refused(merchant.get(f"/payments?{query}"), 400, "invalid_query")
            if not query.startswith("status"):
                refused(merchant.get(f"/audit/events?{query}"), 400, "invalid_query")

    def test_with_a_hostile_cursor_is_400(self, merchant: SigningClient) -> None:
        pay(merchant, 1)
        for cursor in HOSTILE_CURSORS:
            for collection in ("/payments", "/audit/events"):
                answer = merchant.get(f"{collection}?cursor={cursor}")
                refused(answer, 400, "invalid_query")

    def test_with_a_cursor_of_another_collection_is_400(self, merchant: SigningClient) -> None:
        pay(merchant, 2)
        drain()
        of_payments = merchant.get("/payments?limit=1").json()["nextCursor"]
        of_events = merchant.get("/audit/events?limit=1").json()["nextCursor"]
        for path in (f"/payments?cursor={of_events}", f"/audit/events?cursor={of_payments}"):
            refused(merchant.get(path), 400, "invalid_query")

    def test_with_a_strange_cursor_finds_what_comes_after(self, merchant: SigningClient) -> None:
        pay(merchant, 1)
        found = [
            len(merchant.get(f"/payments?cursor={cursor}").json()["data"])
            for cursor in STRANGE_CURSORS
        ]
        assert found == [0, 0, 0, 1]

    def test_with_a_number_beyond_the_column_finds_what_comes_after(
        self, merchant: SigningClient
    ) -> None:
        pay(merchant, 1)
        drain()
        for tie in ("9" * 30, "-" + "9" * 30):
            answer = merchant.get(f"/audit/events?cursor={cursor_of('9999-01-01T00:00:00Z', tie)}")
            assert answer.status_code in (200, 400)
            assert len(answer.json().get("data", [1])) > 0

    def test_may_filter_by_any_text(self, merchant: SigningClient) -> None:
        for text in ("x", "%27%3B--", "%F0%9F%92%A9", "%FF", "x" * 5000, "%25"):
            answer = merchant.get(f"/audit/events?eventType={text}")
            assert answer.json() == {"data": [], "nextCursor": None}
        refused(merchant.get("/audit/events?eventType=%00"), 400, "invalid_query")
