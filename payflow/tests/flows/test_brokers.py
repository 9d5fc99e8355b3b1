"""The same outward work on every broker: their messages carry no truth, so any will do."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from payflow.tests import processes
from payflow.tests.flows.test_kill import in_transaction, mails_by_id, outstanding, sent, terms
from payflow.tests.processes import wait_until
from shared.event_bus import DISPATCHER, drain

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

PAYMENTS = 20
BROKERS = {
    "pgmq": "",
    "redis": "redis://127.0.0.1:6379/7",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//",
}


def is_reachable(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("broker", BROKERS)
class TestBroker:
    def test_wakes_a_worker_for_the_e_mails(self, broker: str, tmp_path: Path) -> None:
        url = BROKERS[broker]
        if url and not is_reachable(url):
            assert not os.environ.get("PAYFLOW_REQUIRE_SERVICES"), f"{broker} is required"
            pytest.skip(f"{broker} is not running here")
        for number in range(PAYMENTS):
            in_transaction(terms(f"key-{number}"))
        drain(DISPATCHER)

        with processes.worker(tmp_path, broker_url=url) as worker:
            worker.start()
            worker.ask("shared.sweep")
            wait_until(lambda: sent() == PAYMENTS, worker.output)
        drain(DISPATCHER)

        assert outstanding() == 0
        assert len(mails_by_id(tmp_path / "mail")) == PAYMENTS
