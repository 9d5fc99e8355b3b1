"""The OpenAPI document is generated once, however many ask for it first."""

import os
import subprocess
import sys

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

# A process of its own: what loads lazily is loaded in this one.
_EIGHT_ASK_FIRST = """
import threading
import django; django.setup()
from django.test import Client
barrier, answers = threading.Barrier(8), []
def ask():
    client = Client(raise_request_exception=False)
    barrier.wait()
    answers.append(client.get("/api/v1/openapi.json").status_code)
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(answers)
"""


class TestOpenApi:
    def test_is_told_to_eight_who_ask_first_at_once(self) -> None:
        secrets = {"PAYFLOW_SECRET_KEY": "s" * 50, "PAYFLOW_KEY_RING": f"k1:{'A' * 43}="}
        told = subprocess.run(
            [sys.executable, "-c", _EIGHT_ASK_FIRST],
            env=os.environ | secrets | {"PAYFLOW_LOG_LEVEL": "CRITICAL"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert told.stdout.strip() == str([200] * 8)

    def test_is_not_generated_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = Client().get("/api/v1/openapi.json")
        monkeypatch.setattr(SchemaGenerator, "get_schema", None)
        again = Client().get("/api/v1/openapi.json")
        assert first["Content-Type"] == "application/vnd.oai.openapi+json"
        assert (again.status_code, again.content) == (200, first.content)
