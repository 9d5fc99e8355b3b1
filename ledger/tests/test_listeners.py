"""What the module reacts to: once, and without taking others along."""

import pytest

from ledger.models import Account, JournalEntry, Posting
from ledger.queries import find_imbalances
from ledger.tests.conftest import authorised
from shared.event_bus import drain
from shared.models import Event
from shared.testing.events import failed, publish_again, publish_committed, told

pytestmark = pytest.mark.django_db

LISTENER, AUTHORISED = "ledger.post_authorisation", "Payment.Transaction.Authorised"


def rows() -> list[object]:
    """Everything the module owns, and the number of events."""
    tables = [list(model._default_manager.values()) for model in (Account, JournalEntry, Posting)]
    return [*tables, Event.objects.count()]


class TestOnPaymentAuthorised:
    def test_posts_the_hold(self) -> None:
        publish_committed(authorised())
        drain()
        assert JournalEntry.objects.get().entry_type == "AUTH"

    def test_takes_every_event_once(self) -> None:
        publish_committed(*(authorised() for _ in range(3)))
        drain()
        before = rows()
        assert publish_again(LISTENER, AUTHORISED) == 3
        drain()
        assert rows() == before
        assert len(told("Ledger.Entry.Posted")) == 3

    def test_takes_the_rest_of_a_batch_without_the_poison(self) -> None:
        good = [authorised() for _ in range(3)]
        poison = authorised(amount_minor=0)
        publish_committed(good[0], poison, *good[1:])
        drain()
        posted = set(JournalEntry.objects.values_list("event_id", flat=True))
        assert {str(event_id) for event_id in posted} == {event.event_id for event in good}
        assert failed(LISTENER) == [poison.subject_id]
        assert find_imbalances() == []
