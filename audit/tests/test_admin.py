"""The trail in the admin."""

import pytest

from audit.models import Record
from shared.event_bus import drain
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def record() -> Record:
    """A payment's first record, among others of its story."""
    registered_merchant().post("/payments", payment_body())
    drain()
    return Record.objects.get(event_type="Payment.Transaction.Initiated")


class TestRecordAdmin:
    def test_finds_an_event_and_its_story(self, operator: OperatorClient, record: Record) -> None:
        story = Record.objects.filter(correlation_id=record.correlation_id).count()
        assert story > 3
        for term, count in ((record.event_id, 1), (record.correlation_id, story)):
            assert operator.list(Record, q=str(term)).context["cl"].result_count == count
        by_subject = operator.list(Record, q=str(record.subject_id))
        assert by_subject.context["cl"].result_count >= 1

    def test_filters_by_type(self, operator: OperatorClient, record: Record) -> None:
        found = operator.list(Record, event_type=record.event_type)
        assert found.context["cl"].result_count == 1
        assert operator.list(Record, event_type="nonsense").status_code == 200

    def test_shows_the_payload(self, operator: OperatorClient, record: Record) -> None:
        assert '"amount": "250.00"' in text(operator.page(record))

    def test_withstands_and_refuses(self, operator: OperatorClient, record: Record) -> None:
        withstands_hostile_terms(operator, Record)
        refuses_changes(operator, record)
