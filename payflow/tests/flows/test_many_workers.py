"""Two dispatchers and two workers, each a process, over one database: shared work, done once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from payflow.tests import processes, slow_mail
from payflow.tests.brokers import BROKERS, Bells, url_of
from payflow.tests.flows.test_kill import (
    PAYMENTS,
    accept_payments,
    assert_every_effect_exactly_once,
    mails_by_id,
    outstanding,
    query,
    sent,
)
from payflow.tests.processes import wait_until
from shared.event_bus import DISPATCHER, drain

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

# Who did what, written down by PostgreSQL itself.
_WATCHED = {"audit.record": "INSERT", "notifications.message": "UPDATE OF sent_at"}


@pytest.fixture
def shares() -> Iterator[None]:
    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE public.share (place text, who text)")
        cursor.execute(
            "CREATE FUNCTION public.note_share() RETURNS trigger LANGUAGE plpgsql"
            " SECURITY DEFINER AS $$ BEGIN INSERT INTO public.share"
            " VALUES (TG_TABLE_NAME, current_setting('application_name')); RETURN NULL; END $$"
        )
        for table, change in _WATCHED.items():
            cursor.execute(
                f"CREATE TRIGGER note_share AFTER {change} ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION public.note_share()"
            )
        yield
        cursor.execute("DROP FUNCTION public.note_share CASCADE")
        cursor.execute("DROP TABLE public.share")


def share(place: str) -> dict[str, int]:
    rows = query(f"SELECT who, count(*) FROM public.share WHERE place = '{place}' GROUP BY who")
    return dict(rows)


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.usefixtures("shares")
class TestTwoOfEach:
    def test_share_the_work_and_do_it_once(self, broker: str, tmp_path: Path) -> None:
        url = url_of(broker)
        bells = Bells(url, tmp_path)
        # Slow enough that the first to hear a bell is not done before the second hears one.
        at = {"broker_url": url} | slow_mail.IN_USE
        with (
            processes.worker(tmp_path, name="worker-1", **at) as worker_1,
            processes.worker(tmp_path, name="worker-2", **at) as worker_2,
            processes.dispatcher(tmp_path, name="dispatcher-1") as dispatcher_1,
            processes.dispatcher(tmp_path, name="dispatcher-2") as dispatcher_2,
        ):
            worker_1.start()
            worker_2.start()
            dispatcher_1.start()
            dispatcher_2.start()
            accept_payments()
            wait_until(lambda: outstanding() == 0, dispatcher_1.output)
            bells.ring("shared.run_intents", "notifications.message", times=4)
            wait_until(lambda: sent() == PAYMENTS, worker_1.output)
            wait_until(lambda: outstanding() == 0, dispatcher_1.output)
        drain(DISPATCHER)
        bells.remove()

        assert_every_effect_exactly_once()
        assert len(mails_by_id(tmp_path / "mail")) == PAYMENTS
        assert {"dispatcher-1", "dispatcher-2"} <= share("record").keys(), share("record")
        assert {"worker-1", "worker-2"} == share("message").keys(), share("message")
