"""The machinery's rows in the admin, and what every module's admin is made of."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from shared import clock
from shared.admin.searching import MAX_ROWS_COUNTED, BoundedPaginator, matching
from shared.event_bus import drain
from shared.event_bus._outstanding import park
from shared.event_bus.standing import State, backlog_by_listener, in_state, last_runs
from shared.models import Event, IdempotencyRecord, Publication, RateBucket, ScheduledRun
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    address,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db
MODELS = (Publication, Event, IdempotencyRecord, ScheduledRun, RateBucket)


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def parked() -> Publication:
    """The fraud listener's publication of a new payment, parked."""
    registered_merchant().post("/payments", payment_body())
    row = Publication.objects.get(listener_id="fraud.assess_payment")
    park(Publication, [row.pk], "ValueError: <b>out of luck</b>")
    row.refresh_from_db()
    return row


def actions_told() -> list[dict[str, Any]]:
    told = Event.objects.filter(event_type="Operator.Action.Taken").order_by("sequence")
    return [event.payload for event in told]


class TestSearch:
    def test_withstands_any_term_on_every_list(self, operator: OperatorClient) -> None:
        registered_merchant().post("/payments", payment_body())
        for model in MODELS:
            withstands_hostile_terms(operator, model)

    def test_finds_by_id_exactly_and_by_text_in_part(self, parked: Publication) -> None:
        fields = ["correlation_id", "event__event_id", "listener_id"]
        rows = Publication.objects.all()
        by_listener = matching(rows, fields, " ASSESS_pay ")
        assert list(by_listener) == [parked]
        by_id = matching(rows, fields, str(parked.event.event_id).upper())
        assert {row.event_id for row in by_id} == {parked.event_id}
        assert not matching(rows, fields, str(parked.event.event_id)[:13]).exists()
        assert not matching(rows, fields, "nul\0").exists()
        assert not matching(rows, fields, "assess%payment").exists()

    def test_counts_no_further_than_it_says(self) -> None:
        rows = [
            RateBucket(bucket=f"b{n}", tokens=1, refilled_at=clock.now()) for n in range(10_050)
        ]
        RateBucket.objects.bulk_create(rows)
        pages = BoundedPaginator(RateBucket.objects.order_by("-pk"), 50)
        assert pages.count == MAX_ROWS_COUNTED
        assert len(pages.page(200).object_list) == 50


class TestLists:
    def test_a_lookup_the_database_refuses_is_a_message(self, operator: OperatorClient) -> None:
        answer = operator.client.get(
            address(RateBucket, "changelist"), {"bucket": "\0"}, follow=True
        )
        assert "could not answer that" in text(answer)

    def test_a_list_that_takes_too_long_is_a_message(
        self, operator: OperatorClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def time_out(*_: object) -> None:
            raise OperationalError("canceling statement due to statement timeout")

        monkeypatch.setattr("shared.admin.rows.matching", time_out)
        answer = operator.client.get(address(Event, "changelist"), {"q": "x"}, follow=True)
        assert "Narrow the search" in text(answer)

    def test_what_can_be_no_id_is_not_found(self, operator: OperatorClient) -> None:
        for model, row_id in ((RateBucket, "a\0b"), (Event, "nonsense"), (Event, "9" * 40)):
            answer = operator.client.get(address(model, "change", row_id), follow=True)
            assert "Perhaps it was deleted?" in text(answer)


class TestRows:
    def test_cannot_be_changed(self, operator: OperatorClient) -> None:
        registered_merchant().post("/payments", payment_body())
        now = clock.now()
        ScheduledRun.objects.create(job="merchants.purge_api_keys", scheduled_at=now)
        for model in MODELS:
            row = model._default_manager.first()
            assert row is not None, model
            refuses_changes(operator, row)

    def test_never_show_what_was_answered(self, operator: OperatorClient) -> None:
        wallet = {"type": "WALLET", "wallet": {"provider": "acme", "walletId": "w-1"}}
        registered_merchant().post("/tokens", wallet | {"idempotencyKey": "seen-key"})
        record = IdempotencyRecord.objects.get()
        assert record.response
        shown = text(operator.page(record)) + text(operator.list(IdempotencyRecord))
        assert "seen-key" in shown
        for secret in (record.response, record.fingerprint):
            assert bytes(secret).hex() not in shown
            assert repr(bytes(secret))[2:20] not in shown
        assert "fingerprint" not in shown.lower()

    def test_need_a_login(self, parked: Publication) -> None:
        operator = OperatorClient(User.objects.create_user("somebody"))
        answer = operator.list(Publication)
        assert answer.status_code == 302
        assert "/admin/login/" in answer.headers["Location"]


class TestReasonPage:
    def test_asks_why_and_names_the_rows(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        page = text(operator.choose("retry", parked))
        assert "Retry: 1 publication" in page
        assert str(parked) in page
        assert "because" not in page
        assert actions_told() == []

    @pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "card 4111 1111 1111 1111", "a\0b"])
    def test_takes_no_bad_reason(
        self, operator: OperatorClient, parked: Publication, reason: str
    ) -> None:
        page = operator.act("skip", parked, reason=reason)
        assert "Please correct the error below" in page
        assert Publication.objects.filter(pk=parked.pk).exists()
        assert actions_told() == []

    def test_takes_no_impossible_rows(self, operator: OperatorClient) -> None:
        for row_id in ("nonsense", "1\0", "9" * 30):
            answer = operator.client.post(
                address(Publication, "changelist"),
                {"_selected_action": row_id, "action": "retry", "index": "0"},
                follow=True,
            )
            assert answer.status_code == 200

    def test_does_not_take_too_many_rows(
        self, operator: OperatorClient, monkeypatch: pytest.MonkeyPatch, parked: Publication
    ) -> None:
        monkeypatch.setattr("shared.admin.reasons.MAX_ROWS_PER_ACTION", 0)
        assert "Choose between 1 and 0 rows" in text(operator.choose("retry", parked))

    def test_is_not_for_who_may_only_view(self, parked: Publication) -> None:
        viewer = OperatorClient.who_may_only_view()
        assert text(viewer.list(Publication)).count("retry") == 0
        viewer.act("retry", parked)
        parked.refresh_from_db()
        assert parked.is_parked
        assert actions_told() == []


class TestRetry:
    def test_makes_a_parked_publication_due_and_is_audited(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        page = operator.act("retry", parked, reason=" put right ", state="parked")
        assert "Retry: 1 publication." in page
        parked.refresh_from_db()
        assert (parked.attempts, parked.failures, parked.parked_at) == (0, 0, None)
        (told,) = actions_told()
        assert told == {
            "actor": "olga",
            "action": "shared.publication.retry",
            "subject": str(parked.pk),
            "reason": "put right",
        }
        drain()
        assert not Publication.objects.exists()

    def test_of_what_is_not_parked_is_refused_in_words(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        other = Publication.objects.filter(parked_at=None).first()
        assert other is not None
        page = operator.act("retry", parked, other)
        assert "Retry: 1 publication." in page
        assert "Retry: not for 1 publication. Only parked work can be retried" in page
        assert len(actions_told()) == 1

    def test_of_what_is_gone_is_told(self, operator: OperatorClient, parked: Publication) -> None:
        operator.act("skip", parked)
        page = operator.act("retry", parked, state="parked")
        assert "it is gone" in page


class TestSkip:
    def test_deletes_a_parked_publication_and_is_audited(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        assert "Skip: 1 publication." in operator.act("skip", parked)
        assert not Publication.objects.filter(pk=parked.pk).exists()
        assert [told["action"] for told in actions_told()] == ["shared.publication.skip"]

    def test_is_offered_on_the_page_of_the_row(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        page = operator.page(parked).content.decode()
        assert 'name="action" value="skip"' in page
        assert "&lt;b&gt;out of luck&lt;/b&gt;" in page


class TestRetryAllOfItsListener:
    def test_takes_also_what_was_not_chosen(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        registered_merchant().post("/payments", payment_body())
        other = Publication.objects.filter(listener_id=parked.listener_id, parked_at=None).get()
        park(Publication, [other.pk], "ValueError: out of luck")
        page = operator.act("retry_all_of_its_listener", parked, state="parked")
        assert "Retry all of its listener: 1 publication." in page
        assert not Publication.objects.filter(parked_at__isnull=False).exists()
        assert [told["subject"] for told in actions_told()] == [f"{parked.pk}, {other.pk}"]


class TestPages:
    def test_of_a_publication_leads_to_its_event_and_what_waits_behind_it(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        registered_merchant()
        Publication.objects.create(
            event=Event.objects.latest("sequence"),
            listener_id=parked.listener_id,
            correlation_id=parked.correlation_id,
        )
        page = text(operator.page(parked))
        assert address(Event, "change", parked.event_id) in page
        assert f"?q={parked.correlation_id}&listener_id={parked.listener_id}" in page
        assert "1 of its story" in page
        assert "Its story" in page

    def test_of_an_event_leads_to_who_has_not_had_it(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        page = text(operator.page(parked.event))
        assert address(Publication, "change", parked.pk) in page
        Publication.objects.all().delete()
        assert "nobody: every listener is done" in text(operator.page(parked.event))


class TestStates:
    def test_partition_the_publications(
        self, operator: OperatorClient, parked: Publication
    ) -> None:
        now = clock.now()
        behind = Publication.objects.create(
            event=Event.objects.exclude(pk=parked.event_id).latest("sequence"),
            listener_id=parked.listener_id,
            correlation_id=parked.correlation_id,
        )
        overdue = Publication.objects.filter(listener_id="audit.record_event").earliest("pk")
        Publication.objects.filter(pk=overdue.pk).update(due_at=now - timedelta(minutes=1))
        found = {state: set(in_state(Publication.objects.all(), state, now)) for state in State}
        assert found[State.PARKED] == {parked}
        assert found[State.BLOCKED] == {behind}
        assert found[State.OVERDUE] == {overdue}
        assert found[State.DONE] == set()
        everything = [row for rows in found.values() for row in rows]
        assert sorted(row.pk for row in everything) == sorted(
            Publication.objects.values_list("pk", flat=True)
        )
        for state in State:
            listed = operator.list(Publication, state=state)
            if state is not State.DONE:
                assert listed.context["cl"].result_count == len(found[state])
        assert operator.list(Publication, state="nonsense").status_code == 200

    def test_are_counted_per_listener(self, parked: Publication) -> None:
        (fraud,) = [b for b in backlog_by_listener(clock.now()) if b.name == parked.listener_id]
        assert (fraud.outstanding, fraud.parked, fraud.overdue, fraud.blocked) == (1, 1, 0, 0)
        assert fraud.oldest_at == parked.created_at


class TestLastRuns:
    def test_are_late_when_a_slot_was_missed(self) -> None:
        now = clock.now()
        by_job = {run.job: run for run in last_runs(now)}
        assert by_job["ledger.verify"].scheduled_at is None
        assert not by_job["ledger.verify"].is_late
        ScheduledRun.objects.create(job="ledger.verify", scheduled_at=now - timedelta(days=3))
        (run,) = [run for run in last_runs(now) if run.job == "ledger.verify"]
        assert run.is_late
