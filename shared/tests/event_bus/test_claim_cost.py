"""
What a claim costs, whatever the planner believes of the registry.

A registry is analysed when it is nearly empty, as it mostly is; then a burst comes. A claim must
look for the head of each row in its window once, not once for every pair of rows.
"""

import pytest
from django.db import connection, connections

from shared.event_bus._queue import Queue, remove
from shared.identifiers import new_id
from shared.tests.event_bus.conftest import LISTENER, Effects, action, publish_committed

pytestmark = pytest.mark.django_db

STORIES, PER_STORY = 5, 100
WINDOW = 400
"""Rows that one claim looks at, at most."""
PROBES = """
SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'publication_once_per_listener'
"""


@pytest.fixture
def analysed_when_empty(effects: Effects) -> None:
    """Five stories of a hundred events that no statistics know of."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE shared.publication")
    for _ in range(STORIES):
        story = new_id()
        publish_committed(*(action(number, story) for number in range(PER_STORY)))


def probes() -> int:
    """How often an index was asked for a head so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(PROBES)
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("analysed_when_empty")
class TestClaim:
    def test_asks_for_a_head_once_per_row(self) -> None:
        before = probes()
        claims, _ = Queue.fresh(LISTENER).claim()
        assert claims
        assert probes() - before <= 2 * WINDOW

    def test_and_its_end_asks_for_a_follower_once_per_claim(self) -> None:
        claims, _ = Queue.fresh(LISTENER).claim()
        before = probes()
        assert len(remove(claims)) == len(claims)
        assert probes() - before <= 4 * len(claims) + 4

    def test_would_ask_for_every_pair_of_rows_as_a_condition_on_the_table(self) -> None:
        # The naive twin: the same question, asked where the planner may ask it too often.
        before = probes()
        with connection.cursor() as cursor:
            cursor.execute(NAIVE, [LISTENER, WINDOW, LISTENER])
        assert probes() - before > 10 * WINDOW


NAIVE = """
WITH looked AS MATERIALIZED (
    SELECT id FROM shared.publication
    WHERE listener_id = %s AND attempts = 0 AND due_at <= now() ORDER BY due_at LIMIT %s)
SELECT publication.id FROM looked JOIN shared.publication USING (id)
WHERE listener_id = %s AND attempts = 0 AND due_at <= now()
  AND event_id = (SELECT head.event_id FROM shared.publication AS head
                  WHERE head.listener_id = publication.listener_id
                    AND head.correlation_id = publication.correlation_id
                  ORDER BY head.event_id LIMIT 1)
"""
