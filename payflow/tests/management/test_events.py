"""`manage.py events` as an operator meets it."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from notifications.models import Message
from payflow.tests.lives import paid_by
from payments.models import Operation
from shared import clock
from shared.event_bus import CELERY, drain, operating
from shared.event_bus._deliver import deliver
from shared.event_bus._outstanding import park
from shared.event_bus._registry import listeners
from shared.models import Event, Publication
from shared.testing.api import payment_body, registered_merchant

pytestmark = pytest.mark.django_db

FRAUD = "fraud.assess_payment"
MESSAGE = "notifications.message"
WHY = ("--reason", "put right")


def events(*arguments: object) -> str:
    out = StringIO()
    call_command("events", *map(str, arguments), stdout=out)
    return out.getvalue()


def refused(*arguments: object) -> str:
    with pytest.raises(CommandError) as raised:
        events(*arguments)
    return str(raised.value)


def actions_told() -> list[dict[str, Any]]:
    told = Event.objects.filter(event_type="Operator.Action.Taken").order_by("sequence")
    return [event.payload for event in told]


@pytest.fixture
def parked() -> Publication:
    """The fraud listener's publication of a new payment, parked, with another one behind it."""
    registered_merchant().post("/payments", payment_body())
    row = Publication.objects.get(listener_id=FRAUD)
    park(Publication, [row.pk], "Traceback (most recent call last):\n  …\nValueError: out of luck")
    registered_merchant()
    Publication.objects.create(
        event=Event.objects.latest("sequence"),
        listener_id=FRAUD,
        correlation_id=row.correlation_id,
    )
    row.refresh_from_db()
    return row


class TestList:
    def test_counts_what_is_outstanding(self, parked: Publication) -> None:
        header, *rows = [line.split() for line in events("list").splitlines()]
        assert header == ["for", "outstanding", "pending", "overdue", "blocked", "parked", "oldest"]
        (fraud,) = [row for row in rows if row[0] == FRAUD]
        assert fraud[1:6] == ["2", "0", "0", "1", "1"]

    def test_says_when_there_is_nothing(self) -> None:
        assert events("list") == "Nothing is outstanding.\n"
        assert events("list", "--parked") == "None.\n"

    def test_shows_parked_rows_with_the_end_of_their_traceback(self, parked: Publication) -> None:
        _, row = events("list", "--parked").splitlines()
        assert row.split()[:3] == [str(parked.pk), FRAUD, "Payment.Transaction.Initiated.v1"]
        assert "parked" in row
        assert row.endswith("ValueError: out of luck")

    def test_shows_a_story_and_its_outside_work(self) -> None:
        story = story_of(paid_by(registered_merchant()))
        assert events("list", "--story", story) == "None.\n"
        registered_merchant().post("/payments", payment_body())
        other = Publication.objects.filter(listener_id=FRAUD).get().correlation_id
        drain_listeners_only()
        assert "payments.operation" in events("list", "--story", other)

    def test_shows_no_more_than_the_limit(self, parked: Publication) -> None:
        assert len(events("list", "--listener", FRAUD, "--limit", 1).splitlines()) == 2

    def test_speaks_json(self, parked: Publication) -> None:
        (row,) = json.loads(events("list", "--parked", "--json"))
        assert (row["id"], row["kind"], row["state"]) == (str(parked.pk), FRAUD, "parked")
        counted = json.loads(events("list", "--json"))
        assert {one["name"]: one["parked"] for one in counted}[FRAUD] == 1


class TestShow:
    def test_shows_a_publication_with_its_traceback_and_what_waits(
        self, parked: Publication
    ) -> None:
        said = events("show", parked.pk)
        assert "Traceback (most recent call last):\n  …\nValueError: out of luck" in said
        assert '"type": "Payment.Transaction.Initiated.v1"' in said
        assert '"amount": "250.00"' in said
        assert "1 of its story wait behind it" in said
        assert f"publication {parked.pk}  for {FRAUD}  parked" in said

    def test_shows_an_event_with_everybody_who_waits(self, parked: Publication) -> None:
        said = events("show", parked.event.event_id)
        assert f"for {FRAUD}  parked" in said
        assert "for audit.record_event  waiting" in said
        document = json.loads(events("show", parked.event.event_id, "--json"))
        assert document["event"]["eventId"] == str(parked.event.event_id)

    def test_shows_an_event_that_nobody_can_read_any_more(self) -> None:
        event = Event.objects.create(
            event_id="0199a6c2-0000-7000-8000-000000000001",
            event_type="Payment.Was.Renamed",
            version=1,
            correlation_id="0199a6c2-0000-7000-8000-000000000002",
            subject_id="0199a6c2-0000-7000-8000-000000000002",
            occurred_at="2026-01-01T00:00:00Z",
            payload={"amount": 1},
        )
        assert "UnknownEventType" in events("show", event.event_id)
        assert "Every listener is done with it." in events("show", event.event_id)

    def test_says_what_is_not_there(self) -> None:
        assert "no such publication" in refused("show", 4711)
        assert "the audit trail may know it" in refused(
            "show", "0199a6c2-0000-7000-8000-000000000009"
        )


class TestRetry:
    def test_makes_a_row_due_and_is_audited(self, parked: Publication) -> None:
        assert events("retry", parked.pk, parked.pk, *WHY, "--actor", "ada") == "1 due again.\n"
        (told,) = actions_told()
        assert told["action"] == "shared.publication.retry"
        assert (told["actor"], told["reason"]) == ("ada", "put right")
        Publication.objects.filter(listener_id=FRAUD).latest("pk").delete()
        drain()
        assert not Publication.objects.exists()

    def test_names_who_is_logged_in(
        self, parked: Publication, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOGNAME", "grace")
        events("retry", "--listener", FRAUD, *WHY)
        assert actions_told()[0]["actor"] == "grace"

    def test_takes_all(self, parked: Publication) -> None:
        assert events("retry", "--all", *WHY) == "1 due again.\n"
        assert events("retry", "--all", *WHY) == "0 due again.\n"

    def test_wants_to_know_which(self, parked: Publication) -> None:
        for wrong in (
            (),
            ("--all", "--listener", FRAUD),
            ("--intent", MESSAGE, "--listener", FRAUD),
            (parked.pk, "--all"),
        ):
            assert "Name rows by their ids" in refused("retry", *wrong, *WHY)

    def test_refuses_what_is_not_parked(self, parked: Publication) -> None:
        other = Publication.objects.filter(parked_at=None).first()
        assert other is not None
        assert "Only parked work" in refused("retry", parked.pk, other.pk, *WHY)
        parked.refresh_from_db()
        assert parked.is_parked
        assert actions_told() == []


@pytest.fixture
def parked_work(parked: Publication) -> tuple[Message, Operation]:
    """A message and a call to a processor, parked beside a publication."""
    merchant = registered_merchant()
    paid_by(merchant)
    Message.objects.update(parked_at=clock.now(), due_at=None, failures=29, last_error="no route")
    Operation.objects.update(parked_at=clock.now(), due_at=None, failures=5, last_error="a bug")
    message, operation = Message.objects.first(), Operation.objects.first()
    assert message is not None and operation is not None
    return message, operation


class TestRetryOfOutsideWork:
    def test_takes_messages_and_operations_with_all(
        self, parked_work: tuple[Message, Operation]
    ) -> None:
        """What the README says when the mail server is back."""
        count = Message.objects.count() + Operation.objects.count() + 1
        assert len(events("list", "--parked").splitlines()) == 1 + count
        assert events("retry", "--all", *WHY) == f"{count} due again.\n"
        assert events("list", "--parked") == "None.\n"
        assert {told["action"] for told in actions_told()} == {
            *("shared.publication.retry", "notifications.message.retry", "payments.operation.retry")
        }

    def test_sends_what_was_parked(
        self, parked_work: tuple[Message, Operation], mailoutbox: list[object]
    ) -> None:
        mailoutbox.clear()
        events("retry", "--intent", MESSAGE, *WHY)
        drain(CELERY)
        assert len(mailoutbox) == Message.objects.count()
        assert Operation.objects.filter(parked_at__isnull=False).exists()

    def test_hastens_what_failed_and_waits_for_its_hour_but_nothing_that_is_claimed(
        self, parked_work: tuple[Message, Operation]
    ) -> None:
        """The mail server is back after three hours: nothing is parked yet, and all of it waits."""
        later = clock.now() + timedelta(hours=1)
        Message.objects.update(parked_at=None, due_at=later, failures=7, attempts=7, ended=7)
        claimed, _ = parked_work
        Message.objects.filter(pk=claimed.pk).update(attempts=8)
        count = Message.objects.count() - 1
        assert count > 0
        assert events("retry", "--intent", MESSAGE, *WHY) == f"{count} due again.\n"
        assert list(Message.objects.filter(due_at__gt=clock.now())) == [claimed]
        assert [told["action"] for told in actions_told()] == ["notifications.message.hasten"]

    def test_takes_rows_by_their_ids_whatever_they_are(
        self, parked: Publication, parked_work: tuple[Message, Operation]
    ) -> None:
        ids = [row.pk for row in (parked, *parked_work)]
        assert events("retry", *ids, *WHY) == "3 due again.\n"
        for row in (parked, *parked_work):
            row.refresh_from_db()
            assert (row.parked_at, row.failures) == (None, 0)

    def test_takes_all_of_them_or_none(
        self, parked: Publication, parked_work: tuple[Message, Operation]
    ) -> None:
        message, _ = parked_work
        for wrong in (uuid4(), 4711):
            assert "Only parked work" in refused("retry", parked.pk, message.pk, wrong, *WHY)
        message.refresh_from_db()
        assert message.is_parked
        assert actions_told() == []

    def test_knows_the_kinds_of_outside_work(self, parked: Publication) -> None:
        said = refused("retry", "--intent", "notifications.mesage", *WHY)
        assert "there are notifications.message, payments.operation" in said

    def test_works_in_batches(
        self, parked_work: tuple[Message, Operation], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operating, "BATCH_SIZE", 1)
        count = Message.objects.count()
        assert count > 1
        assert events("retry", "--intent", MESSAGE, *WHY) == f"{count} due again.\n"
        assert len(actions_told()) == count

    def test_is_looked_at_before(self, parked_work: tuple[Message, Operation]) -> None:
        message, operation = parked_work
        listed = events("list", "--intent", MESSAGE)
        assert str(message.pk) in listed
        assert str(operation.pk) not in listed
        said = events("show", message.pk)
        assert f"{MESSAGE} {message.pk}  parked" in said
        assert said.endswith("no route\n")
        assert json.loads(events("show", operation.pk, "--json"))["last_error"] == "a bug"


class TestSkip:
    def test_gives_up_and_is_audited(self, parked: Publication) -> None:
        assert events("skip", parked.pk, *WHY) == "1 given up.\n"
        assert not Publication.objects.filter(pk=parked.pk).exists()
        assert [told["action"] for told in actions_told()] == ["shared.publication.skip"]

    @pytest.mark.parametrize("reason", [" ", "x" * 501, "card 4111 1111 1111 1111"])
    def test_takes_no_bad_reason(self, parked: Publication, reason: str) -> None:
        assert "--reason" in refused("skip", parked.pk, "--reason", reason)
        assert "--reason" in refused("skip", parked.pk)
        assert actions_told() == []


class TestReplay:
    def test_gives_one_story_again_and_is_audited(self) -> None:
        story = story_of(paid_by(registered_merchant()))
        replay = ("replay", "--listener", "ledger.post_movements", "--story", story)
        assert "1 publications made" in events(*replay, *WHY)
        assert actions_told()[0]["subject"].startswith("ledger.post_movements: 1 events from")
        assert "No retained event" in refused(*replay, *WHY)

    def test_takes_a_range_and_a_time(self) -> None:
        paid_by(registered_merchant())
        first = Event.objects.earliest("sequence").sequence
        replay = ("replay", "--listener", "audit.record_event")
        assert "2 publications" in events(*replay, "--from", first, "--to", first + 1, *WHY)
        assert "No retained event" in refused(*replay, "--until", "2020-01-01", *WHY)

    def test_refuses_what_makes_no_sense(self) -> None:
        replay = ("replay", "--listener", "audit.record_event", *WHY)
        assert "Say which events" in refused(*replay)
        assert "No listener 'audit.recod'" in refused(
            "replay", "--listener", "audit.recod", "--from", 1, *WHY
        )
        for name, value in (("--from", "x"), ("--since", "noon"), ("--story", "1"), ("--to", "-1")):
            assert name in refused(*replay, name, value)


def story_of(payment_id: str) -> str:
    """The correlation id of a payment."""
    initiated = Event.objects.get(event_type="Payment.Transaction.Initiated", subject_id=payment_id)
    return str(initiated.correlation_id)


def drain_listeners_only() -> None:
    while sum(deliver(entry) for entry in listeners.values()):
        pass
