"""What the nightly purge lets go of, and what it must not."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection, connections, transaction

from shared import clock
from shared.event_bus import retention
from shared.event_bus.replay import EVENTS_ARE_CHANGING
from shared.event_bus.schedule import jobs
from shared.models import Event, IdempotencyRecord, Publication
from shared.tests.event_bus.conftest import Effects, action, deliver_to_test, publish_committed

pytestmark = pytest.mark.django_db


def age_events(days: int) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE shared.event DISABLE TRIGGER event_refuses_change")
        cursor.execute(f"UPDATE shared.event SET published_at = now() - interval '{days} days'")
        cursor.execute("ALTER TABLE shared.event ENABLE ALWAYS TRIGGER event_refuses_change")


class TestPurge:
    def test_is_on_the_schedule(self) -> None:
        assert jobs["shared.purge"].function is retention.purge

    def test_deletes_events_after_thirty_days(self, effects: Effects) -> None:
        publish_committed(action(1))
        Publication.objects.all().delete()
        age_events(31)

        retention.purge(now=clock.now())

        assert not Event.objects.exists()

    def test_keeps_younger_events(self, effects: Effects) -> None:
        publish_committed(action(1))
        Publication.objects.all().delete()
        age_events(29)

        retention.purge(now=clock.now())

        assert Event.objects.count() == 1

    def test_keeps_an_old_event_that_somebody_still_waits_for(self, effects: Effects) -> None:
        publish_committed(action(1))
        age_events(400)

        retention.purge(now=clock.now())

        assert Event.objects.count() == 1
        deliver_to_test()
        assert effects.numbers() == [1]

    def test_keeps_events_as_long_as_the_settings_say(
        self, effects: Effects, settings: Any
    ) -> None:
        settings.EVENTS_KEPT_DAYS = 90
        publish_committed(action(1))
        Publication.objects.all().delete()
        age_events(89)
        retention.purge(now=clock.now())
        assert Event.objects.count() == 1

        age_events(91)
        retention.purge(now=clock.now())
        assert not Event.objects.exists()

    def test_goes_on_behind_old_events_that_must_stay(
        self, effects: Effects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "_BATCH_SIZE", 2)
        publish_committed(*(action(number) for number in range(9)))
        kept = set(Event.objects.order_by("sequence").values_list("pk", flat=True)[1:6])
        Publication.objects.exclude(event_id__in=kept).delete()
        Publication.objects.filter(listener_id="audit.record_event").delete()
        age_events(31)

        retention.purge(now=clock.now())

        assert set(Event.objects.values_list("pk", flat=True)) == kept

    def test_keeps_what_a_listener_nobody_knows_waits_for(self, effects: Effects) -> None:
        publish_committed(action(1))
        Publication.objects.all().delete()
        event = Event.objects.get()
        Publication.objects.create(
            event=event, listener_id="zz.was_renamed", correlation_id=event.correlation_id
        )
        age_events(31)

        retention.purge(now=clock.now())

        assert Event.objects.get() == event

    def test_waits_for_a_replay_that_is_under_way(self, effects: Effects) -> None:
        # What a replay writes would be in no snapshot that the purge took before its commit.
        publish_committed(action(1))
        Publication.objects.all().delete()
        age_events(31)
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [EVENTS_ARE_CHANGING])
            with pytest.raises(OperationalError, match="lock timeout"):
                retention.purge(now=clock.now())
        assert Event.objects.count() == 1

    def test_deletes_sessions_that_are_over(self) -> None:
        now = clock.now()
        for number in (-1, 1):
            ends = now + timedelta(minutes=number)
            Session.objects.create(session_key=f"s{number}", session_data="", expire_date=ends)

        retention.purge(now=now)

        assert Session.objects.get().session_key == "s1"

    def test_deletes_idempotency_records_after_their_term(self) -> None:
        now = clock.now()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO shared.idempotency_record (merchant_id, key, fingerprint, expires_at)"
                " VALUES (gen_random_uuid(), 'old', '', %s), (gen_random_uuid(), 'new', '', %s)",
                [now - timedelta(seconds=1), now + timedelta(seconds=60)],
            )

        retention.purge(now=now)

        assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["new"]
