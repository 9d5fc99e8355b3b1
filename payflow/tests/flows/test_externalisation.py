"""Events for other systems, on real brokers: in order, at least once, and in nobody's way."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from kombu.message import Message

from payflow.tests import processes
from payflow.tests.events_broker import Hanging, Line, Topic, topic_or_skip
from payflow.tests.flows.test_kill import decided, in_transaction, terms
from payflow.tests.processes import wait_until
from shared import clock
from shared.event_bus import _queue, _registry, externalise, publish
from shared.event_bus._connecting import Address
from shared.event_bus._outlet import Outlet
from shared.event_bus._outstanding import FAILURES_UNTIL_PARKED
from shared.event_bus._relay import Relay
from shared.events.merchants import MerchantAccountRegistered
from shared.events.operators import OperatorActionTaken
from shared.identifiers import new_id
from shared.models import Publication

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

ROUTING_KEY = "Operator.Action.Taken"
FULL = {"x-max-length": 0, "x-overflow": "reject-publish"}
"""A queue that takes nothing, so that the broker refuses what is routed to it."""


@pytest.fixture(params=["rabbitmq", "redis"])
def topic(request: pytest.FixtureRequest) -> Iterator[Topic]:
    topic = topic_or_skip(request.param)
    yield topic
    topic.delete()


@pytest.fixture
def switched_on(topic: Topic, settings: Any) -> Iterator[Topic]:
    for name, value in topic.settings(types="Operator.*,Merchant.*").items():
        setattr(settings, name, value)
    externalise.register()
    yield topic
    del _registry.listeners[externalise.LISTENER_ID]
    _registry.ids_listening_to.cache_clear()


rabbitmq_only = pytest.mark.parametrize("topic", ["rabbitmq"], indirect=True)
redis_only = pytest.mark.parametrize("topic", ["redis"], indirect=True)


class TestASwitchedOnPlatform:
    def test_sends_the_envelope_under_the_event_s_id(self, switched_on: Topic) -> None:
        queue = switched_on.bind("Operator.#")
        [event] = told([1])

        assert externalise.send_due() == 1

        [message] = switched_on.taken(queue)
        assert message.content_type == "application/json"
        assert json.loads(_text(message)) == event.envelope()
        assert message.delivery_info["routing_key"] == ROUTING_KEY
        assert message.properties["delivery_mode"] == 2
        assert message.properties["message_id"] == event.event_id
        assert message.properties["correlation_id"] == event.correlation_id
        assert message.headers == {
            "eventId": event.event_id,
            "correlationId": event.correlation_id,
            "type": "Operator.Action.Taken.v1",
        }
        assert outward() == []

    def test_takes_an_event_that_nobody_wants_for_sent(self, switched_on: Topic) -> None:
        told([1])

        externalise.send_due()

        assert outward() == []
        assert switched_on.size(switched_on.dlq) == 0

    def test_keeps_the_order_of_a_story_whoever_sends(
        self, switched_on: Topic, tmp_path: Path
    ) -> None:
        queue, environment = switched_on.bind(), switched_on.environment()
        stories = {str(new_id()): list(range(10)) for _ in range(20)}
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()

        with (
            processes.dispatcher(folders[0], **environment) as one,
            processes.dispatcher(folders[1], **environment) as two,
        ):
            one.start()
            two.start()
            for number in range(0, 10, 2):
                for story in stories:
                    told([number, number + 1], story)
            wait_until(lambda: outward() == [], one.output)

        assert numbers_by_story(switched_on.taken(queue)) == stories


class TestAnEventUnderWay:
    @rabbitmq_only
    def test_is_not_overtaken_by_the_next_of_its_story(self, switched_on: Topic) -> None:
        assert sent_while_the_first_is_held(switched_on) == [3]

    @rabbitmq_only
    def test_would_be_overtaken_if_more_than_heads_were_claimed(
        self, switched_on: Topic, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heads_only = f"WHERE event_id = {_queue._HEAD.format(what='head.event_id')}"
        naive = _queue._CLAIM.replace(heads_only, "")
        assert naive != _queue._CLAIM
        monkeypatch.setattr(_queue, "_CLAIM", naive)
        monkeypatch.setattr(_queue, "BATCH_SIZE", 1)

        assert sent_while_the_first_is_held(switched_on) == [2, 3]


class TestKill9BetweenSendAndRemoval:
    @rabbitmq_only
    def test_sends_the_same_message_again(self, switched_on: Topic, tmp_path: Path) -> None:
        queue = switched_on.bind()
        with closing(Line(switched_on.url)) as line:
            line.lose_answers_after(b'"eventId"')
            environment = switched_on.environment(url=line.url())
            with processes.dispatcher(tmp_path, **environment) as dispatcher:
                dispatcher.start()
                first, second = told([1, 2], str(new_id()))
                wait_until(lambda: switched_on.size(queue) == 1, dispatcher.output)
                dispatcher.kill()
                assert len(outward()) == 2
                line.mend()
                hasten()
                dispatcher.start()
                wait_until(lambda: outward() == [], dispatcher.output)

        messages = switched_on.taken(queue)
        assert [message.properties["message_id"] for message in messages] == [
            first.event_id,
            first.event_id,
            second.event_id,
        ]
        assert _text(messages[0]) == _text(messages[1])


class TestABrokerThatIsCutOff:
    def test_costs_nothing_but_time(self, switched_on: Topic, tmp_path: Path) -> None:
        queue = switched_on.bind()
        stories = {str(new_id()): list(range(10)) for _ in range(30)}
        with closing(Line(switched_on.url)) as line:
            environment = switched_on.environment(url=line.url())
            with processes.dispatcher(tmp_path, **environment) as dispatcher:
                dispatcher.start()
                for story, numbers in stories.items():
                    told(numbers, story)
                wait_until(lambda: switched_on.size(queue) >= 20, dispatcher.output)
                line.cut()
                assert outward(), "cut too late to prove anything"
                wait_until(lambda: dispatcher.output().count("wait for their broker") >= 4)
                assert {(row["failures"], row["parked_at"]) for row in outward()} == {(0, None)}
                assert max(row["attempts"] for row in outward()) <= 3
                line.mend()
                wait_until(lambda: outward() == [], dispatcher.output)

        assert numbers_by_story(switched_on.taken(queue)) == stories


class TestARefusedEvent:
    def test_is_dead_lettered_after_five_failures_and_takes_nobody_along(
        self, switched_on: Topic
    ) -> None:
        refuse_everything(switched_on)
        [event] = told([1])

        for failures in range(1, FAILURES_UNTIL_PARKED):
            externalise.send_due()
            [row] = outward()
            assert (row["failures"], row["parked_at"]) == (failures, None)
            assert_due_in(row, seconds=2**failures)
            hasten()
        externalise.send_due()

        assert outward() == []
        [letter] = switched_on.taken(switched_on.dlq)
        assert json.loads(_text(letter)) == event.envelope()
        assert letter.properties["message_id"] == event.event_id
        assert letter.headers["failures"] == FAILURES_UNTIL_PARKED
        assert letter.headers["routingKey"] == ROUTING_KEY
        assert letter.headers["exchange"] == switched_on.exchange
        assert letter.headers["reason"].startswith(("NotTaken", "ResponseError"))

    @rabbitmq_only
    def test_delays_no_other_in_its_batch(self, switched_on: Topic) -> None:
        queue = switched_on.bind("Merchant.#", "merchants")
        switched_on.bind("Operator.#", "full", **FULL)
        registered(first := str(new_id()))
        told([1])
        registered(second := str(new_id()))

        externalise.send_due()

        messages = switched_on.taken(queue)
        assert [message.headers["correlationId"] for message in messages] == [first, second]
        [row] = outward()
        assert row["failures"] == 1
        assert "NotTaken: negative confirm" in row["last_error"]

    def test_is_parked_with_both_reasons_if_even_the_dead_letter_is_refused(
        self, switched_on: Topic
    ) -> None:
        refuse_everything(switched_on)
        refuse_dead_letters(switched_on)
        told([1])

        for _ in range(FAILURES_UNTIL_PARKED):
            externalise.send_due()
            hasten()

        [row] = outward()
        assert row["parked_at"] is not None
        assert "During handling of the above exception" in row["last_error"]

    def test_lets_its_story_go_on_once_it_is_dead_lettered(self, switched_on: Topic) -> None:
        refused = refuse_everything(switched_on)
        told([1, 2], str(new_id()))
        for _ in range(FAILURES_UNTIL_PARKED - 1):
            externalise.send_due()
            hasten()
        assert len(outward()) == 2
        externalise.send_due()
        [row] = outward()
        assert row["failures"] <= 1

        accept_again(switched_on, refused)
        hasten()
        externalise.send_due()

        assert outward() == []
        assert [number(letter) for letter in switched_on.taken(switched_on.dlq)] == [1]


class TestABrokerThatHangs:
    def test_delays_no_payment_and_burns_no_attempts(
        self, switched_on: Topic, tmp_path: Path
    ) -> None:
        payments = 20
        with closing(Hanging()) as hanging:
            url = hanging.url("amqp" if switched_on.kind == "rabbitmq" else "redis")
            environment = switched_on.environment(url=url, types="*")
            with processes.dispatcher(tmp_path, **environment) as dispatcher:
                dispatcher.start()
                told([0])
                wait_until(lambda: len(hanging.calls) > 0, dispatcher.output)
                calls, began_at = len(hanging.calls), clock.now()
                for key in range(payments):
                    in_transaction(terms(f"key-{key}"))
                wait_until(lambda: decided() == payments and not inward(), dispatcher.output)
                took = clock.now() - began_at

                # In a loop of the dispatcher each call would have stopped the chain for 4 seconds.
                assert took < timedelta(seconds=processes.PATIENCE_SECONDS / 3)
                wait_until(lambda: len(hanging.calls) > calls, dispatcher.output)
                assert {row["attempts"] for row in outward()} == {0}

    @rabbitmq_only
    def test_gives_back_what_it_had_claimed(self, switched_on: Topic, settings: Any) -> None:
        switched_on.bind()
        told([1])
        told([2])
        with closing(Line(switched_on.url)) as line:
            line.lose_answers_after(b'"eventId"')
            settings.EVENTS_URL = line.url()
            assert externalise.send_due() == 0

        for row in outward():
            # No step towards the 25 claims without an end that park a publication.
            assert (row["attempts"], row["ended"]) == (1, 1)
            assert (row["failures"], row["parked_at"]) == (0, None)


class TestASwitchedOffPlatform:
    def test_writes_no_publication_for_it(self) -> None:
        told([1])

        assert externalise.LISTENER_ID not in _registry.listeners
        assert externalise.relays() == {}
        assert outward() == []


def told(
    numbers: Sequence[int], story: str = "", reason: str = "because"
) -> list[OperatorActionTaken]:
    """Publish events of one story, in one transaction."""
    story = story or str(new_id())
    events = [
        OperatorActionTaken(
            correlation_id=story,
            subject_id=story,
            occurred_at=clock.iso(clock.now()),
            actor="ada",
            action="test",
            subject=str(n),
            reason=reason,
        )
        for n in numbers
    ]
    with transaction.atomic():
        publish(*events)
    return events


def registered(story: str) -> None:
    """Publish an event of another type."""
    facts = {"merchant_name": "Acme", "merchant_email": "acme@example.com"}
    event = MerchantAccountRegistered(
        correlation_id=story, subject_id=story, occurred_at=clock.iso(clock.now()), **facts
    )
    with transaction.atomic():
        publish(event)


def sent_while_the_first_is_held(topic: Topic) -> list[int]:
    """What arrives while one relay hangs with the first event of a story, and another sends."""
    queue, story = topic.bind(), str(new_id())
    told([1, 2], story)
    with closing(Line(topic.url)) as line:
        line.hold_before(b'"eventId"')
        address = Address(line.url(), topic.exchange, topic.dlq)
        slow = Relay(_registry.listeners[externalise.LISTENER_ID], Outlet(address))
        stopping = threading.Event()
        thread = threading.Thread(target=slow.run, args=(stopping,))
        thread.start()
        assert line.holds.wait(timeout=30)
        told([3])
        externalise.send_due()
        found = [number(message) for message in topic.taken(queue)]
        stopping.set()
        line.mend()
        thread.join(timeout=30)
    return sorted(found)


def outward() -> list[dict[str, Any]]:
    """The publications that wait to be sent."""
    rows = Publication.objects.filter(listener_id=externalise.LISTENER_ID)
    return [dict(row) for row in rows.order_by("event_id").values()]


def inward() -> bool:
    """Whether any other publication is outstanding."""
    return Publication.objects.exclude(listener_id=externalise.LISTENER_ID).exists()


def hasten() -> None:
    """Let time pass: whatever waits for its due time is due now."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shared.publication SET due_at = now() WHERE due_at IS NOT NULL")


def assert_due_in(row: dict[str, Any], *, seconds: int) -> None:
    waits = (row["due_at"] - clock.now()).total_seconds()
    assert 0.75 * seconds - 1 < waits < 1.25 * seconds + 1


def refuse_everything(topic: Topic) -> str:
    """Have the broker refuse what is sent to the topic; returns the name of the queue."""
    if topic.kind == "rabbitmq":
        return topic.bind("#", "full", **FULL)
    name = topic.bind("#", "wrong")
    redis(topic).set(name, "no list")
    return name


def refuse_dead_letters(topic: Topic) -> None:
    if topic.kind == "rabbitmq":
        topic.declare(topic.dlq, **FULL)
    else:
        redis(topic).set(topic.dlq, "no list")


def accept_again(topic: Topic, name: str) -> None:
    if topic.kind == "redis":
        redis(topic).delete(name)
        return
    with topic._channel() as channel:
        channel.queue_delete(name)


def redis(topic: Topic) -> Any:
    from redis import Redis

    return Redis.from_url(topic.url)


def number(message: Message) -> int:
    return int(json.loads(_text(message))["payload"]["subject"])


def numbers_by_story(messages: Sequence[Message]) -> dict[str, list[int]]:
    """The numbers of each story as they came, each message once: what a consumer makes of it."""
    stories: dict[str, list[int]] = {}
    seen = set()
    for message in messages:
        if message.properties["message_id"] not in seen:
            seen.add(message.properties["message_id"])
            stories.setdefault(message.headers["correlationId"], []).append(number(message))
    return stories


def _text(message: Message) -> str:
    body = message.body
    return body if isinstance(body, str) else bytes(body).decode()
