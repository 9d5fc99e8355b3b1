"""The operator's switches."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from payflow.tests.sandbox.conftest import Sandbox, new_key, wait_until


def waiting(sandbox: Sandbox, gate: str) -> int:
    number: int = sandbox.send("GET", f"/control/gates/{gate}").json()["waiting"]
    return number


class TestGates:
    def test_hold_captures_voids_and_refunds_before_they_are_booked(self, sandbox: Sandbox) -> None:
        reference = sandbox.authorised("tok_gate_both")
        sandbox.capture(reference, 100)
        assert sandbox.control("gates/both", {"closed": True}) == {"closed": True, "waiting": 0}
        key = new_key()
        with ThreadPoolExecutor(3) as pool:
            sent = [
                pool.submit(sandbox.capture, reference, 5, key=key),
                pool.submit(sandbox.refund, reference, 1),
                pool.submit(sandbox.void, reference),
            ]
            wait_until(lambda: waiting(sandbox, "both") == 3)
            assert len(sandbox.lines(authorisation=reference)) == 2
            assert sandbox.ask(key).status == 409
            assert sandbox.capture(reference, 5, key=key).json() == {"error": "in_progress"}
            sandbox.control("gates/both", {"closed": False})
            assert {reply.result().status for reply in sent} == {201}
        assert len(sandbox.lines(authorisation=reference)) == 5
        assert waiting(sandbox, "both") == 0

    def test_two_refunds_held_at_a_gate_cannot_both_take_the_last_of_it(
        self, sandbox: Sandbox
    ) -> None:
        reference = sandbox.authorised("tok_gate_refunds")
        sandbox.capture(reference, 100)
        sandbox.control("gates/refunds", {"closed": True})
        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(sandbox.refund, reference, 60) for _ in range(2)]
            wait_until(lambda: waiting(sandbox, "refunds") == 2)
            sandbox.control("gates/refunds", {"closed": False})
            statuses = {reply.result().json()["status"] for reply in sent}
        assert statuses == {"APPROVED", "DECLINED"}

    def test_do_not_hold_a_replay_or_another_gate(self, sandbox: Sandbox) -> None:
        reference, key = sandbox.authorised("tok_gate_mine"), new_key()
        sandbox.capture(reference, 5, key=key)
        sandbox.control("gates/mine", {"closed": True})
        assert sandbox.capture(reference, 5, key=key).headers["Idempotent-Replayed"] == "true"
        assert sandbox.capture(sandbox.authorised("tok_gate_other"), 5).status == 201
        sandbox.control("gates/mine", {"closed": False})

    def test_a_client_that_gave_up_is_booked_all_the_same(self, sandbox: Sandbox) -> None:
        reference, key = sandbox.authorised("tok_gate_impatient"), new_key()
        sandbox.control("gates/impatient", {"closed": True})
        path = f"{sandbox.url}/acquirers/sandbox/authorisations/{reference}/voids"
        headers = {"Idempotency-Key": key, "Authorization": "Bearer sandbox-secret-of-the-tests"}
        with urllib3.PoolManager(retries=False) as pool:
            with pytest.raises(urllib3.exceptions.ReadTimeoutError):
                pool.request("POST", path, body="{}", headers=headers, timeout=0.3)
        sandbox.control("gates/impatient", {"closed": False})
        wait_until(lambda: sandbox.ask(key).status == 200)
        assert sandbox.lines(key=key)[0]["status"] == "APPROVED"


class TestDown:
    def test_resets_every_call_of_one_acquirer(self, sandbox: Sandbox) -> None:
        sandbox.control("down", {"acquirer": "sandbox-backup", "down": True})
        key = new_key()
        for _ in range(2):
            with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
                sandbox.authorise(acquirer="sandbox-backup", key=key)
        with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
            sandbox.ask(key, "sandbox-backup")
        assert sandbox.authorise().status == 201
        sandbox.control("down", {"acquirer": "sandbox-backup", "down": False})
        assert sandbox.ask(key, "sandbox-backup").status == 404


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("gates/x", {}),
            ("gates/x", {"closed": "yes"}),
            ("chaos", {"unknownRate": 2, "seed": 1}),
            ("chaos", {"unknownRate": "0.1", "seed": 1}),
            ("chaos", {"unknownRate": 0.1}),
            ("down", {"acquirer": "sandbox"}),
            ("mute", []),
        ],
    )
    def test_is_refused(self, sandbox: Sandbox, name: str, content: Any) -> None:
        assert sandbox.send("PUT", f"/control/{name}", content).status == 400

    def test_unknown_switches_and_methods(self, sandbox: Sandbox) -> None:
        assert sandbox.send("PUT", "/control/lights", {}).status == 404
        assert sandbox.send("PUT", "/control/gates/NOT%20A%20GATE", {"closed": True}).status == 404
        assert sandbox.send("GET", "/control/chaos").status == 405


def test_threads_end_with_their_connections(own_sandbox: Sandbox) -> None:
    def talk(_: int) -> None:
        with urllib3.PoolManager(retries=False) as pool:
            pool.request("GET", own_sandbox.url + "/book")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, range(200)))
    tasks = Path(f"/proc/{own_sandbox.pid}/task")
    wait_until(lambda: len(list(tasks.iterdir())) < 20)
