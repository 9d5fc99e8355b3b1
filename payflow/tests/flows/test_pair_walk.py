"""
The recorded bytes of one request, sent to every other address: nothing may come of it (S12).

Somebody on the way sees a request with all its headers, and sends it again within the five minutes
that its signature is good for: elsewhere, by another method, before or after it was answered. All
addresses come from the URL configuration, so what is added later is walked over, too.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test import Client

from merchants.use_cases import verify_request
from payflow.tests.endpoints import address, routes, views
from payments import conf
from shared.event_bus import drain
from shared.http import principal
from shared.http.principal import IsMerchant, Signed, must_be_signed
from shared.testing.api import payment_body, registered_merchant
from shared.testing.signing import JSON

pytestmark = pytest.mark.django_db

# One for all: each loads its middleware.
CLIENT: Any = Client(raise_request_exception=False)
READS = ("GET", "HEAD", "OPTIONS")
METHODS = (*READS, "POST", "PUT", "PATCH", "DELETE")
WALLET = {"type": "WALLET", "wallet": {"provider": "paywave", "walletId": "7"}}
# A request of every endpoint that changes something, with as little in it as it takes: the less a
# body says, the more endpoints understand it.
SAMPLES: dict[str, dict[str, Any]] = {
    "POST merchants/register": {"name": "Mallory", "email": "mallory@example.com"},
    "POST merchants/keys/rotate": {},
    "DELETE merchants/keys/<id:key_id>": {},
    "POST sandbox/signature-check": {},
    "POST payments": payment_body(),
    "POST payments/authorize": payment_body(),
    "POST payments/cancel-by-key": {"cancelKey": "a key never seen"},
    "POST payments/<id:payment_id>/capture": {},
    "POST payments/<id:payment_id>/void": {},
    "POST payments/<id:payment_id>/refund": {},
    "POST processor-callbacks/<slug:processor>": {},
    "POST tokens": WALLET,
    "DELETE tokens/<str:token>": {},
}
OPEN_TO_VERSION_1 = {"POST payments", "POST payments/authorize", "POST tokens"}
# What authenticates nobody; a body is all that there is to record of them.
PUBLIC = {
    "POST merchants/register",
    "POST sandbox/signature-check",
    "POST processor-callbacks/<slug:processor>",
}
ONE_OPERATION = {"POST /payments", "POST /payments/authorize"}


def endpoints() -> list[str]:
    """Every method of every address, such as `POST tokens`."""
    return [f"{method} {path}" for path, methods in routes().items() for method in methods]


def changing() -> list[str]:
    return [endpoint for endpoint in endpoints() if not endpoint.startswith("GET ")]


def signed_reads() -> list[str]:
    return [
        f"{method} {path}"
        for path, methods in routes().items()
        for method in methods
        if method == "GET" and views()[path].authentication_classes
    ]


@dataclass(frozen=True)
class Recorded:
    """A request as somebody on the way has seen it."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.method} {self.path}"

    def sent_to(self, place: str, **forged: str) -> Any:
        method, path = place.split(" ")
        kind = {"content_type": JSON} if self.body else {}
        return CLIENT.generic(
            method, "/api/v1" + path, self.body, **kind, **(self.headers | forged)
        )


class World:
    """A merchant with something for every endpoint to change, and what may be recorded of it."""

    def __init__(self) -> None:
        self.merchant = registered_merchant()
        self._refs = {"processor": "sandbox", "correlation_id": str(uuid4())}
        self._refs["refund_id"] = str(uuid4())

    def record(self, endpoint: str, version: int) -> Recorded:
        """A request that would be right where it was made for, under a key never used."""
        method, route = endpoint.split(" ")
        path = self.fresh(route)
        if endpoint in PUBLIC:
            return Recorded(method, path, json.dumps(SAMPLES[endpoint]).encode(), {})
        if method == "GET":
            return self._signed(method, path, b"", version)
        document = SAMPLES[endpoint] | {"idempotencyKey": f"key-{uuid4()}"}
        return self._signed(method, path, json.dumps(document).encode(), version)

    def again_in_version_2(self, recorded: Recorded) -> Recorded:
        """The same wish, signed in the other version."""
        return self._signed(recorded.method, recorded.path, recorded.body, 2)

    def fresh(self, route: str) -> str:
        """An address, of an object that can still be changed there."""
        refs = dict(self._refs)
        if "<id:payment_id>" in route:
            refs["payment_id"] = self._payment(capture=route.endswith("/refund"))
        if "<id:key_id>" in route:
            refs["key_id"] = self._spare_key()
        if "<str:token>" in route:
            stored = self.merchant.post("/tokens", WALLET | {"idempotencyKey": new_key()})
            refs["token"] = stored.json()["token"]
        return address(route, refs)

    def _spare_key(self) -> str:
        listed = self.merchant.get("/merchants/keys").json()["data"]  # the own key comes last
        active = [key["apiKeyId"] for key in listed[:-1] if key["active"]]
        for key_id in active[2:]:  # a merchant has only so many
            self.merchant.delete(f"/merchants/keys/{key_id}", {"idempotencyKey": new_key()})
        rotated = self.merchant.post("/merchants/keys/rotate", {"idempotencyKey": new_key()})
        return str(rotated.json()["apiKeyId"])

    def _payment(self, *, capture: bool) -> str:
        body = payment_body(capture=capture)
        paid = self.merchant.post("/payments", body, HTTP_PREFER="wait=0").json()["paymentId"]
        drain()
        status = self.merchant.get(f"/payments/{paid}").json()["status"]
        assert status == ("CAPTURED" if capture else "AUTHORISED")
        return str(paid)

    def _signed(self, method: str, path: str, body: bytes, version: int) -> Recorded:
        if version == 1:
            return Recorded(method, path, body, self.merchant.signed_headers(body))
        headers = self.merchant.signed_headers_v2(method, path, body)
        del headers["RAW_URI"]  # the server's own
        return Recorded(method, path, body, headers)


def new_key() -> str:
    return f"key-{uuid4()}"


# A repeated rotation shows a key again, so the merchant and the trail are told each time.
TELLS_EACH_TIME = "POST merchants/keys/rotate"
TOLD = ("shared.event", "shared.publication")


def stored(*, but_for: Sequence[str] = ()) -> str:
    """What stands in all tables, but for when a key was last used and how often anybody called."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT format('%%I.%%I', table_schema, table_name) FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema', 'public')"
            " AND table_name <> 'rate_bucket'"
            " AND table_schema || '.' || table_name <> ALL (%s) ORDER BY 1",
            [list(but_for)],
        )
        digests = [
            "SELECT md5(string_agg(row, ',' ORDER BY row)) FROM"
            f" (SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM {table} AS t) AS rows"
            for (table,) in cursor.fetchall()
        ]
        cursor.execute("SELECT array_agg(md5) FROM (" + " UNION ALL ".join(digests) + ") AS all_of")
        return str(cursor.fetchone())


@dataclass
class Walk:
    """Goes everywhere with what was recorded, and notes what came of it."""

    world: World
    places: list[str]
    """Where to go: `DELETE /tokens/tok_…`."""
    replays: int = 0
    at_home: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    effects: list[str] = field(default_factory=list)

    def go(self, recorded: Recorded, phase: str, **forged: str) -> None:
        """Send it everywhere but where it is the same operation; look whether anything changed."""
        before, taken = stored(), []
        for place in [*self.places, *(f"{method} {recorded.path}" for method in METHODS)]:
            if is_one_operation(recorded.place, place):
                self.at_home += 1
                continue
            answer = recorded.sent_to(place, **forged)
            assert answer.status_code not in (429, 500), (recorded, place, answer.content)
            self.replays += 1
            self.answers[said_by(answer)] += 1
            if answer.status_code < 400 and not place.startswith(READS):
                taken.append(place)
        if stored() != before:
            self.effects.append(f"{recorded.place} ({phase}) → one of {taken}")

    @property
    def length(self) -> int:
        """How many places one recorded request is sent to, its own included."""
        return len(self.places) + len(METHODS)

    def tell(self) -> None:
        """For who runs it with -s."""
        print(f"\n{self.replays} replays, {len(self.effects)} effects: {dict(self.answers)}")  # noqa: T201


def said_by(answer: Any) -> str:
    kind = answer.headers.get("Content-Type", "")
    code = answer.json().get("code", "") if "problem" in kind and answer.content else ""
    return f"{answer.status_code} {code}".strip()


def is_one_operation(one: str, other: str) -> bool:
    return one == other or {one, other} <= ONE_OPERATION


@pytest.fixture(autouse=True)
def nobody_waits(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REGISTRATIONS_PER_HOUR = 100_000
    monkeypatch.setattr(conf, "IMPLIED_WAIT_SECONDS", 0)


@pytest.fixture
def world(db: None) -> World:
    return World()


@pytest.fixture
def walk(world: World) -> Walk:
    """To every method of every address, of objects that can still be changed."""
    aimed = {route: world.fresh(route) for route in routes() if route != "openapi.json"}
    return Walk(world, [f"{method} {path}" for path in aimed.values() for method in METHODS])


class TestRecordedBytes:
    @pytest.mark.parametrize("version", [1, 2])
    def test_of_a_change_have_an_effect_nowhere_else(self, walk: Walk, version: int) -> None:
        signed = [endpoint for endpoint in changing() if endpoint not in PUBLIC]
        phases = 2
        for endpoint in signed:
            recorded = walk.world.record(endpoint, version)
            walk.go(recorded, "key free")
            if version == 1:
                phases = 3
                walk.go(recorded, "key forged", HTTP_IDEMPOTENCY_KEY=new_key())
            self.use(walk, endpoint, recorded, version)
            walk.go(recorded, "key used")
        walk.tell()
        assert walk.effects == []
        assert walk.replays + walk.at_home == len(signed) * phases * walk.length

    def use(self, walk: Walk, endpoint: str, recorded: Recorded, version: int) -> None:
        """Have the recorded request carried out where it belongs: it was worth recording."""
        before = stored()
        first = recorded.sent_to(recorded.place)
        if version == 1 and endpoint not in OPEN_TO_VERSION_1:
            assert said_by(first) == "400 signature_version_required"
            assert stored() == before
            recorded = walk.world.again_in_version_2(recorded)
            first = recorded.sent_to(recorded.place)
        assert first.status_code < 300, (endpoint, first.content)
        assert stored() != before
        drain()
        self.repeat(recorded, version, but_for=TOLD if endpoint == TELLS_EACH_TIME else ())

    def repeat(self, recorded: Recorded, version: int, *, but_for: Sequence[str]) -> None:
        """Once decided, the same bytes again at each address of the operation."""
        places = {recorded.place}
        if version == 1 and recorded.place in ONE_OPERATION:
            places = ONE_OPERATION
        decided = recorded.sent_to(recorded.place)
        before = stored(but_for=but_for)
        for place in places:
            again = recorded.sent_to(place)
            assert again.content == decided.content
            assert again.headers["Idempotent-Replayed"] == "true"
        assert stored(but_for=but_for) == before

    def test_of_a_read_have_an_effect_nowhere(self, walk: Walk) -> None:
        """Under version 1 all reads of a second are the same bytes."""
        read = walk.world.record("GET merchants/me", 1)
        walk.go(read, "read")
        walk.go(read, "key forged", HTTP_IDEMPOTENCY_KEY=new_key())
        for endpoint in signed_reads():
            walk.go(walk.world.record(endpoint, 2), "read")
        walk.tell()
        assert walk.effects == []
        assert walk.replays + walk.at_home == (2 + len(signed_reads())) * walk.length

    def test_of_what_nobody_signed_have_an_effect_nowhere_else(self, walk: Walk) -> None:
        for endpoint in PUBLIC:
            walk.go(walk.world.record(endpoint, 1), "unsigned")
        assert walk.effects == []


def effective_pairs(world: World, version: int) -> list[str]:
    """Each pair of changes on its own, with fresh objects and keys: those that have an effect."""
    found = []
    for endpoint in (one for one in changing() if one not in PUBLIC):
        for other in changing():
            method, route = other.split(" ")
            recorded, place = world.record(endpoint, version), f"{method} {world.fresh(route)}"
            if not is_one_operation(recorded.place, place):
                before = stored()
                recorded.sent_to(place)
                if stored() != before:
                    found.append(f"{endpoint} → {other}")
    return found


class TestTheWalk:
    """The naive twins: with less than the rule, the same walk finds effects."""

    def test_finds_effects_if_version_1_opens_everything(
        self, world: World, walk: Walk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(principal, "must_be_signed", lambda view, method: Signed.BODY)
        recorded = world.record("POST payments/<id:payment_id>/void", 1)
        walk.go(recorded, "key free")
        assert len(walk.effects) == 1
        pairs = effective_pairs(world, 1)
        assert "POST payments/<id:payment_id>/void → POST merchants/keys/rotate" in pairs
        assert len(pairs) >= 25

    def test_finds_effects_if_version_2_covers_too_little(
        self, world: World, walk: Walk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verify_request, "is_signed_with", lambda *signed: True)
        walk.go(world.record("POST payments/<id:payment_id>/void", 2), "key free")
        assert len(walk.effects) == 1

    def test_finds_an_address_of_the_same_operation(self) -> None:
        assert is_one_operation("POST /payments", "POST /payments/authorize")
        assert not is_one_operation("POST /payments", "GET /payments")
        assert not is_one_operation("POST /payments/1/void", "POST /payments/2/void")

    def test_begins_at_every_endpoint_that_changes_something(self) -> None:
        """A new one has to be added to SAMPLES, with as little in its body as it takes."""
        assert set(SAMPLES) == set(changing())

    def test_leads_to_every_endpoint(self, walk: Walk) -> None:
        assert len(walk.places) == (len(routes()) - 1) * len(METHODS)
        assert len(routes()) >= 25


class TestEndpoints:
    def test_are_public_or_ask_who_signed(self) -> None:
        """`IsMerchant` is where the rule stands; a view with other permissions would escape it."""
        public = {path for path, view in views().items() if not view.authentication_classes}
        assert {endpoint for endpoint in changing() if endpoint.split(" ")[1] in public} == PUBLIC
        for path, view in views().items():
            asks = any(issubclass(one, IsMerchant) for one in view.permission_classes)
            assert asks or path in public or path == "openapi.json", path

    def test_are_open_to_version_1_where_the_contract_says_so(self) -> None:
        lesser = {
            endpoint
            for endpoint in changing()
            if endpoint not in PUBLIC
            and must_be_signed(views()[endpoint.split(" ")[1]], endpoint.split(" ")[0])
            in Signed.BODY
        }
        assert lesser == OPEN_TO_VERSION_1
