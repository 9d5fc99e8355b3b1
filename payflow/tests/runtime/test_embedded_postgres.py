"""The embedded server, and every state a crash can leave it in."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.errors import AlreadyRunning, CannotStart
from payflow.runtime.postgres_binaries import find_binaries
from payflow.runtime.postgres_place import fallback_area
from payflow.runtime.processes import find_process, processes_working_in, wait_until
from payflow.tests.runtime.conftest import remove_server


def one(url: str, query: str) -> object:
    """The first value that a query answers."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def remember(postgres: EmbeddedPostgres) -> None:
    """Commits something that a later start must still know."""
    with psycopg.connect(postgres.owner_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def remembers(postgres: EmbeddedPostgres) -> bool:
    return one(postgres.owner_url, "SELECT answer FROM kept") == 42


def kill_when_ready(home: Path, pid: int) -> None:
    """Kill a server as soon as it says that it is ready; a moment later it is being prepared."""
    area = fallback_area(home) if fallback_area(home).exists() else home / "postgres"
    wait_until(lambda: is_ready(area / "data" / "postmaster.pid", pid), 30)
    time.sleep(0.02)
    os.kill(pid, signal.SIGQUIT)


def is_ready(pid_file: Path, pid: int) -> bool:
    lines = pid_file.read_text().split() if pid_file.exists() else []
    return lines[:1] == [str(pid)] and "ready" in lines


class TestRoles:
    def test_each_role_logs_in_as_itself(self, server: EmbeddedPostgres) -> None:
        assert one(server.owner_url, "SELECT current_user") == "payflow_owner"
        assert one(server.app_url, "SELECT current_user") == "payflow_app"
        assert one(server.superuser_url(), "SELECT current_user") == "postgres"

    def test_a_wrong_password_is_refused(self, server: EmbeddedPostgres) -> None:
        url = f"postgresql://payflow_app:guess@127.0.0.1:{server.port}/payflow"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            one(url, "SELECT 1")

    def test_passwords_are_stored_as_scram(self, server: EmbeddedPostgres) -> None:
        query = "SELECT count(*) FROM pg_authid WHERE rolpassword NOT LIKE 'SCRAM-SHA-256$%'"
        assert one(server.superuser_url(), query) == 0

    def test_the_owner_creates_databases_and_tables(self, server: EmbeddedPostgres) -> None:
        with psycopg.connect(server.owner_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE made_by_owner")
            connection.execute("DROP DATABASE made_by_owner")
            connection.execute("CREATE SCHEMA made_by_owner")

    @pytest.mark.parametrize("statement", ["CREATE TABLE t ()", "CREATE SCHEMA s"])
    def test_the_application_creates_nothing(
        self, server: EmbeddedPostgres, statement: str
    ) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            one(server.app_url, statement)

    @pytest.mark.parametrize("database", ["payflow_broker", "postgres", "template1"])
    def test_the_application_connects_nowhere_else(
        self, server: EmbeddedPostgres, database: str
    ) -> None:
        url = server.app_url.removesuffix("payflow") + database
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            one(url, "SELECT 1")

    def test_the_broker_has_its_queues(self, server: EmbeddedPostgres) -> None:
        assert server.broker_url.startswith("pgmq://payflow_broker:")
        url = server.broker_url.replace("pgmq://", "postgresql://")
        assert one(url, "SELECT count(*) FROM pgmq.create('q')") == 1
        assert one(url, "SELECT pgmq.send('q', '{}'::jsonb)") == 1


class TestServer:
    def test_has_no_unix_socket(self, server: EmbeddedPostgres) -> None:
        assert one(server.superuser_url(), "SHOW unix_socket_directories") == ""
        assert one(server.superuser_url(), "SHOW listen_addresses") == "127.0.0.1"

    def test_has_the_encoding_and_order_of_production(self, server: EmbeddedPostgres) -> None:
        query = "SELECT datlocale || '/' || pg_encoding_to_char(encoding) FROM pg_database"
        assert one(server.owner_url, f"{query} WHERE datname='payflow'") == "C.UTF-8/UTF8"

    def test_keeps_its_data_to_itself(self, server: EmbeddedPostgres) -> None:
        assert stat.S_IMODE((server.area / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((server.home / "secrets.env").stat().st_mode) == 0o600

    def test_does_not_inherit_our_secrets(self, server: EmbeddedPostgres) -> None:
        environment = Path(f"/proc/{server.pid}/environ")
        if environment.exists():
            assert b"PAYFLOW" not in environment.read_bytes()

    def test_a_second_one_on_the_same_home_is_refused(self, server: EmbeddedPostgres) -> None:
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
            EmbeddedPostgres(server.home).start()
        assert server.is_running

    @pytest.mark.usefixtures("server")
    def test_ignores_variables_of_libpq(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
        monkeypatch.setenv("PGSERVICE", "nowhere")
        with EmbeddedPostgres(home, durable=False) as postgres:
            assert one(postgres.app_url, "SELECT 1") == 1


class TestStartAgain:
    def test_keeps_data_and_port(self, home: Path) -> None:
        with EmbeddedPostgres(home) as postgres:
            remember(postgres)
            port = postgres.port
        assert not processes_working_in(postgres.area / "data")
        with EmbeddedPostgres(home) as postgres:
            assert remembers(postgres)
            assert postgres.port == port

    def test_recovers_when_the_postmaster_was_killed(self, home: Path) -> None:
        with EmbeddedPostgres(home) as postgres:
            remember(postgres)
            before = postgres.pid
            busy = psycopg.connect(postgres.superuser_url())
            os.kill(before, signal.SIGKILL)
            assert wait_until(lambda: not postgres.is_running, 5)
            postgres.start()
            busy.close()
            assert postgres.pid != before
            assert remembers(postgres)

    def test_a_number_in_the_pid_file_that_is_a_strangers_now_harms_nobody(
        self, home: Path
    ) -> None:
        with EmbeddedPostgres(home) as postgres:
            remember(postgres)
            pid_file = postgres.area / "data" / "postmaster.pid"
            lines = pid_file.read_text().splitlines()
            os.kill(postgres.pid, signal.SIGKILL)
            assert wait_until(lambda: not postgres.is_running, 5)
            pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
            postgres.start()
            assert remembers(postgres)
        assert find_process(os.getppid()) is not None

    def test_takes_over_from_a_killed_owner(
        self, home: Path, spawn: Callable[..., subprocess.Popen[str]]
    ) -> None:
        program = (
            "import sys, time, pathlib\n"
            "from payflow.runtime.embedded_postgres import EmbeddedPostgres\n"
            "postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1])).start()\n"
            "print(postgres.pid, flush=True); time.sleep(60)"
        )
        owner = spawn("-c", program, str(home), stdout=subprocess.PIPE)
        assert owner.stdout is not None
        orphan = int(owner.stdout.readline())
        owner.kill()
        owner.wait()
        assert find_process(orphan) is not None
        said: list[str] = []
        with EmbeddedPostgres(home, report=said.append) as postgres:
            assert find_process(orphan) is None
            assert one(postgres.app_url, "SELECT 1") == 1
        assert any(f"pid {orphan}" in text for text in said)

    def test_heals_an_initdb_that_was_interrupted(self, home: Path) -> None:
        with EmbeddedPostgres(home) as postgres:
            data = postgres.area / "data"
        draft = postgres.area / "draft-killed"
        draft.mkdir()
        data.rename(draft / "data")
        (draft / "data" / "PG_VERSION").unlink()
        with EmbeddedPostgres(home) as postgres:
            assert one(postgres.app_url, "SELECT 1") == 1
        assert not draft.exists()

    def test_heals_a_start_that_ended_before_all_roles_were_there(self, home: Path) -> None:
        with EmbeddedPostgres(home) as postgres:
            with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
                connection.execute("DROP DATABASE payflow_broker")
                connection.execute("DROP ROLE payflow_broker")
            postgres.start()
            url = postgres.broker_url.replace("pgmq://", "postgresql://")
            assert one(url, "SELECT count(*) FROM pgmq.list_queues()") == 0

    def test_starts_though_it_is_killed_while_roles_are_prepared(self, home: Path) -> None:
        with EmbeddedPostgres(home):
            pass
        murders: list[threading.Thread] = []

        def murder_the_first(pid: int) -> None:
            if not murders:
                murders.append(threading.Thread(target=kill_when_ready, args=(home, pid)))
                murders[0].start()

        with EmbeddedPostgres(home, on_launch=murder_the_first) as postgres:
            murders[0].join()
            assert one(postgres.app_url, "SELECT 1") == 1

    def test_chooses_another_port_when_its_own_was_taken(self, home: Path) -> None:
        home.mkdir()
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.listen()
            taken = stranger.getsockname()[1]
            (home / "postgres.port").write_text(f"{taken}\n")
            with EmbeddedPostgres(home, durable=False) as postgres:
                assert postgres.port != taken

    def test_says_what_the_server_said_when_it_cannot_start(self, home: Path) -> None:
        with EmbeddedPostgres(home) as postgres:
            data = postgres.area / "data"
        (data / "global" / "pg_control").unlink()
        with pytest.raises(CannotStart, match="pg_control"):
            postgres.start()
        assert not postgres.is_running


class TestPlace:
    @pytest.fixture
    def reachable(self) -> Iterator[Path]:
        """A deep home with spaces in its path, which also an unprivileged user can get to."""
        root = Path(tempfile.mkdtemp(prefix="payflow test "))
        root.chmod(0o711)
        path = root.joinpath("a b", *["deep" * 8] * 4, "home")
        yield path
        remove_server(path)
        shutil.rmtree(root)

    def test_is_the_home_when_that_can_be_reached(self, reachable: Path) -> None:
        with EmbeddedPostgres(reachable, durable=False) as postgres:
            assert postgres.area == reachable / "postgres"
            assert one(postgres.app_url, "SELECT 1") == 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
    def test_is_elsewhere_when_it_cannot_and_that_is_said(self, home: Path) -> None:
        home.parent.chmod(0o700)
        said: list[str] = []
        with EmbeddedPostgres(home, durable=False, report=said.append) as postgres:
            assert postgres.area == fallback_area(home)
        assert any(str(fallback_area(home)) in text for text in said)
        assert stat.S_IMODE(home.stat().st_mode) == 0o711
        assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
    def test_data_of_a_deleted_home_are_set_aside(self, home: Path) -> None:
        home.parent.chmod(0o700)
        with EmbeddedPostgres(home, durable=False) as postgres:
            remember(postgres)
        shutil.rmtree(home)
        said: list[str] = []
        with EmbeddedPostgres(home, durable=False, report=said.append) as postgres:
            with pytest.raises(psycopg.errors.UndefinedTable):
                remembers(postgres)
        kept = list(postgres.area.parent.glob(f"{postgres.area.name}.old-*"))
        assert len(kept) == 1
        assert any(str(kept[0]) in text for text in said)
        shutil.rmtree(kept[0])

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
    def test_programs_out_of_reach_are_copied(
        self, reachable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tmp_path.chmod(0o700)
        package = find_binaries().parents[1]
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                ignore = shutil.ignore_patterns("pginstall", "include")
                shutil.copytree(source, tmp_path / source.name, symlinks=True, ignore=ignore)
        binaries = tmp_path / package.name / "pginstall18" / "bin"
        monkeypatch.setenv("PAYFLOW_PG_BIN", str(binaries))
        shared = reachable.parent / "shared"
        monkeypatch.setattr("payflow.runtime.postgres_place.SHARED", shared)
        said: list[str] = []
        with EmbeddedPostgres(reachable, durable=False, report=said.append) as postgres:
            assert one(postgres.app_url, "SELECT 1") == 1
        (copy,) = shared.iterdir()
        assert any(f"copied to {copy}" in text for text in said)

    def test_data_without_their_password_are_not_touched(self, reachable: Path) -> None:
        with EmbeddedPostgres(reachable, durable=False) as postgres:
            remember(postgres)
        secrets = (reachable / "secrets.env").rename(reachable / "secrets.away")
        with pytest.raises(CannotStart, match=r"secrets\.env"):
            postgres.start()
        secrets.rename(reachable / "secrets.env")
        with postgres:
            assert remembers(postgres)
