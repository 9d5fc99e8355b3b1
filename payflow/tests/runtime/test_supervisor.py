"""The supervisor with stand-in parts: becoming ready, being killed, being told to stop."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from payflow.runtime.embedded_postgres import is_free
from payflow.runtime.home import Home
from payflow.runtime.parts import SECRETS
from payflow.runtime.ports import free_port
from payflow.runtime.processes import environment_of, find_process, wait_until
from payflow.runtime.register import Register

Spawn = Callable[..., subprocess.Popen[str]]


class Run:
    """A supervisor in a process of its own, and what it has printed."""

    def __init__(self, spawn: Spawn, home: Path, port: int, kind: str, **more: str) -> None:
        self.home, self.port = home, port
        self.output = home.parent / f"output-{os.urandom(4).hex()}"
        given = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "CELERY_BROKER_URL": "memory://"}
        environment = os.environ | given | {"PAYFLOW_HOME": str(home), "PORT": str(port)} | more
        with self.output.open("w") as file:
            self.process = spawn(
                "-m", "payflow.tests.runtime.stand_in", kind, stdout=file, stderr=file,
                env=environment,
            )  # fmt: skip

    @property
    def text(self) -> str:
        return self.output.read_text()

    def says(self, pattern: str, *, times: int = 1, seconds: float = 15) -> bool:
        """Waits until the output has the pattern so many times."""
        return wait_until(lambda: len(re.findall(pattern, self.text)) >= times, seconds)

    def pid_of_worker(self) -> int:
        return int(re.findall(r"worker +\| pid (\d+)", self.text)[-1])

    def ended(self, seconds: float = 15) -> int:
        return self.process.wait(seconds)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture
def run(spawn: Spawn, home: Path, port: int) -> Iterator[Callable[..., Run]]:
    """Starts supervisors on one home and port."""
    runs: list[Run] = []

    def start(kind: str = "", **more: str) -> Run:
        runs.append(Run(spawn, home, port, kind, **more))
        return runs[-1]

    yield start
    for started in runs:
        started.process.terminate()
        started.process.wait(30)


class TestRun:
    def test_shows_parts_becoming_ready_and_then_where_everything_is(
        self, run: Callable[..., Run]
    ) -> None:
        running = run()
        assert running.says("PayFlow is running"), running.text
        for part in ("web", "worker"):
            assert re.search(rf"{part} +\| ready after", running.text)
        assert f"http://127.0.0.1:{running.port}/swagger-ui.html" in running.text
        assert f"http://127.0.0.1:{running.port}/admin/" in running.text
        assert "a step" not in running.text
        assert "a step" in (running.home / "logs" / "step.log").read_text()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_stops_everything_cleanly(
        self, run: Callable[..., Run], number: signal.Signals
    ) -> None:
        running = run()
        assert running.says("PayFlow is running"), running.text
        worker = running.pid_of_worker()
        running.process.send_signal(number)
        assert running.ended() == 0
        assert find_process(worker) is None
        assert is_free(running.port)
        assert (running.home / "children.json").read_text().strip() == "[]"

    def test_a_second_start_says_where_the_first_one_is(self, run: Callable[..., Run]) -> None:
        first = run()
        assert first.says("PayFlow is running"), first.text
        second = run()
        assert second.ended() == 1
        assert (
            f"PayFlow is already running at http://127.0.0.1:{first.port} "
            f"(pid {first.process.pid}), home {first.home}."
        ) in second.text

    def test_a_busy_port_is_named(self, run: Callable[..., Run], port: int) -> None:
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.1", port))
            stranger.listen()
            refused = run()
            assert refused.ended() == 1
        assert f"Port {port} of 127.0.0.1 is in use" in refused.text
        assert f"PORT={port + 1}" in refused.text

    def test_a_wrong_port_is_named(self, run: Callable[..., Run]) -> None:
        refused = run(PORT="eighty")
        assert refused.ended() == 1
        assert "not 'eighty'" in refused.text


class TestPartsThatFail:
    def test_a_killed_part_is_started_again(self, run: Callable[..., Run]) -> None:
        running = run()
        assert running.says("PayFlow is running"), running.text
        os.kill(running.pid_of_worker(), signal.SIGKILL)
        assert running.says(r"worker +\| was ended by SIGKILL; starting it again in 0.2 s")
        assert running.says(r"worker +\| ready after", times=2), running.text

    def test_a_part_that_cannot_start_ends_the_start(self, run: Callable[..., Run]) -> None:
        refused = run("broken")
        assert refused.ended() == 1
        assert "broken ended with exit code 3. Its last lines:" in refused.text
        assert is_free(refused.port)

    def test_a_part_that_is_never_ready_ends_the_start(self, run: Callable[..., Run]) -> None:
        refused = run("slow")
        assert refused.ended() == 1
        assert "slow was not ready after 1 s" in refused.text

    def test_a_part_that_is_never_ready_shows_what_it_answered_and_wrote(
        self, run: Callable[..., Run]
    ) -> None:
        other = free_port()
        refused = run("refusing", OTHER_PORT=str(other))
        assert refused.ended() == 1
        url = f"http://127.0.0.1:{other}/ready"
        assert f'{url} answered 400 {{"code": "no_such_host"}}. Its last lines:' in refused.text
        assert re.search(r"payflow +\|     serving", refused.text), refused.text


class TestWhatAHomeHolds:
    def test_is_its_owners_alone(self, run: Callable[..., Run], home: Path) -> None:
        before = os.umask(0)  # as careless as can be
        try:
            open_home(home)
            running = run("sandbox", PAYFLOW_SANDBOX_URL="", PAYFLOW_SANDBOX_SECRET="")
            assert running.says("PayFlow is running"), running.text
        finally:
            os.umask(before)
        passing = {home} if os.geteuid() == 0 else set()  # PostgreSQL's user has to pass through
        found = [home, *home.rglob("*")]
        assert {"sandbox.sqlite3", "sandbox.sqlite3-wal", "sandbox.sqlite3-shm"} <= {
            path.name for path in found
        }
        open_ones = {path for path in found if path.stat().st_mode & 0o077}
        assert open_ones <= passing
        assert home.stat().st_mode & 0o066 == 0


def open_home(home: Path) -> None:
    """A home as an older start left it."""
    for directory in (home, home / "logs", home / "mail", home / "metrics"):
        directory.mkdir(mode=0o755)
    for name in ("logs/web.log", "mail/a.eml", "celerybeat-schedule", "sandbox.sqlite3"):
        (home / name).touch(mode=0o644)


class TestSecrets:
    def test_reach_the_parts_that_need_them(self, run: Callable[..., Run]) -> None:
        given = {name: f"secret-{name.lower()}" for name in SECRETS}
        given |= {"PAYFLOW_SANDBOX_URL": "", "MINE": "secret-mine", "DATABASE_OWNER_URL": "x"}
        running = run("sandbox", **given)
        assert running.says("PayFlow is running"), running.text
        children = json.loads((running.home / "children.json").read_text())
        told = {child["name"]: environment_of(child["pgid"]) for child in children}
        assert {"sandbox", "web", "worker"} <= set(told)
        secrets = re.findall(r"secret-\w+", told["sandbox"])
        assert secrets == ["secret-payflow_sandbox_secret"]
        for name in ("web", "worker"):  # stand-ins, which name none
            assert re.findall(r"secret-\w+", told[name]) == ["secret-mine"]

    def test_do_not_reach_the_guardian(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PAYFLOW_KEY_RING", "secret-ring")
        register = Register(tmp_path / "children.json")
        register.tend()
        try:
            assert register.guardian_pid is not None
            wait_until(lambda: "PATH=" in environment_of(register.guardian_pid or 0), 5)
            environment = environment_of(register.guardian_pid)
        finally:
            register.close()
        assert "PATH=" in environment
        assert "secret" not in environment


class TestKilledSupervisor:
    def test_its_guardian_stops_the_parts(self, run: Callable[..., Run]) -> None:
        running = run()
        assert running.says("PayFlow is running"), running.text
        worker = running.pid_of_worker()
        running.process.kill()
        assert wait_until(lambda: find_process(worker) is None, 10)
        assert wait_until(lambda: is_free(running.port), 10)

    def test_the_next_start_just_works(self, run: Callable[..., Run]) -> None:
        killed = run()
        assert killed.says("PayFlow is running"), killed.text
        killed.process.kill()
        killed.process.wait()
        assert run().says("PayFlow is running")


class TestWithSandbox:
    """The real one, among stand-ins."""

    def charge(self, running: Run, key: str) -> tuple[int, bytes]:
        secret = Home(running.home).application_secrets()["PAYFLOW_SANDBOX_SECRET"]
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
        body = {"amountMinor": 5, "currency": "USD", "merchantReference": "p"}
        content = json.dumps(body | {"instrument": {"type": "TOKEN", "token": "tok_x"}})
        url = self.url(running) + "/acquirers/sandbox/authorisations"
        with urllib3.PoolManager(retries=False) as pool:
            reply = pool.request("POST", url, body=content, headers=headers)
            return reply.status, reply.data

    def url(self, running: Run) -> str:
        found = re.search(r"^  Sandbox +(http://127.0.0.1:\d+)$", running.text, re.MULTILINE)
        assert found is not None
        return found[1]

    def test_is_started_again_on_its_port_with_its_book(self, run: Callable[..., Run]) -> None:
        running = run("sandbox", PAYFLOW_SANDBOX_URL="", PAYFLOW_SANDBOX_SECRET="")
        assert running.says("PayFlow is running"), running.text
        before = self.charge(running, "key-1")
        assert before[0] == 201
        children = json.loads((running.home / "children.json").read_text())
        [pid] = [child["pgid"] for child in children if child["name"] == "sandbox"]
        os.kill(pid, signal.SIGKILL)
        assert running.says(r"sandbox +\| ready after", times=2), running.text
        assert self.charge(running, "key-1") == before

    def test_stops_with_the_others(self, run: Callable[..., Run]) -> None:
        running = run("sandbox", PAYFLOW_SANDBOX_URL="", PAYFLOW_SANDBOX_SECRET="")
        assert running.says("PayFlow is running"), running.text
        port = int(self.url(running).rpartition(":")[2])
        assert not is_free(port)
        running.process.terminate()
        assert running.ended() == 0
        assert is_free(port)
        assert "did not end" not in running.text
        assert [path.name for path in running.home.glob("sandbox.sqlite3*")] == ["sandbox.sqlite3"]


class TestWithPostgres:
    def test_brings_up_and_takes_down_the_embedded_server(self, run: Callable[..., Run]) -> None:
        running = run(DATABASE_URL="", CELERY_BROKER_URL="")
        assert running.says("PayFlow is running"), running.text
        found = re.search(r"postgres +\| ready on 127.0.0.1:(\d+)", running.text)
        assert found is not None
        assert not is_free(int(found[1]))
        running.process.terminate()
        assert running.ended() == 0
        assert is_free(int(found[1]))
