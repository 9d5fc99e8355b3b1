"""The home: its secrets, its lock, its owner."""

import base64
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from payflow.runtime.errors import AlreadyRunning
from payflow.runtime.home import PROJECT, Home
from payflow.runtime.private_files import LogFile
from payflow.runtime.secrets_file import SecretsFile

URL = "http://127.0.0.1:8000"


@pytest.fixture
def made(tmp_path: Path) -> Home:
    """A prepared home."""
    home = Home(tmp_path / "home")
    home.prepare()
    return home


class TestHome:
    def test_is_in_the_project_unless_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PAYFLOW_HOME", "")
        assert Home.from_environment().path == PROJECT / ".payflow"
        monkeypatch.setenv("PAYFLOW_HOME", "/some/where")
        assert Home.from_environment().path == Path("/some/where")

    def test_generates_secrets_once(self, made: Home) -> None:
        secrets = made.application_secrets()
        assert secrets == made.application_secrets()
        assert len(set(secrets.values())) == len(secrets) == 4

    def test_the_key_ring_has_one_key_of_32_bytes(self, made: Home) -> None:
        name, _, key = made.application_secrets()["PAYFLOW_KEY_RING"].partition(":")
        assert name == "k1"
        assert len(base64.b64decode(key, validate=True)) == 32

    def test_nobody_else_reads_secrets_and_mail(self, made: Home) -> None:
        made.application_secrets()
        assert stat.S_IMODE(made.secrets.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(made.mail.stat().st_mode) == 0o700
        assert stat.S_IMODE(made.logs.stat().st_mode) == 0o700

    def test_closes_what_an_older_start_left_open(self, tmp_path: Path) -> None:
        home = Home(tmp_path / "home")
        home.mail.mkdir(parents=True)
        old = [home.mail / "a.eml", home.path / "sandbox.sqlite3-wal", home.children]
        for path in old:
            path.touch()
            path.chmod(0o664)
        home.mail.chmod(0o775)
        home.path.chmod(0o755)
        home.prepare()
        assert {stat.S_IMODE(path.stat().st_mode) for path in old} == {0o600}
        assert stat.S_IMODE(home.mail.stat().st_mode) == 0o700
        passing = 0o711 if os.geteuid() == 0 else 0o700
        assert stat.S_IMODE(home.path.stat().st_mode) == passing

    def test_leaves_alone_what_is_not_its_own(self, tmp_path: Path) -> None:
        home = Home(tmp_path / "home")
        home.mail.mkdir(parents=True)
        others = [home.path / "thesis.txt", tmp_path / "elsewhere"]
        for path in others:
            path.touch()
            path.chmod(0o644)
        (home.mail / "link").symlink_to(tmp_path / "elsewhere")
        (home.path / "postgres").mkdir()
        (home.path / "postgres").chmod(0o755)  # its user's affair
        home.prepare()
        assert {stat.S_IMODE(path.stat().st_mode) for path in others} == {0o644}
        assert stat.S_IMODE((home.path / "postgres").stat().st_mode) == 0o755


class TestLogFile:
    def test_is_put_aside_when_it_has_grown_long(self, tmp_path: Path) -> None:
        path = tmp_path / "web.log"
        log = LogFile(path, limit_bytes=100)
        for number in range(60):
            log.write(b"line %02d\n" % number)
        log.close()
        both = (tmp_path / "web.log.1").read_text() + path.read_text()
        assert both.splitlines()[-1] == "line 59"
        assert len(both.splitlines()) < 60 - 15
        for file in (path, tmp_path / "web.log.1"):
            assert file.stat().st_size <= 110
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


class TestSecretsFile:
    def test_keeps_what_others_have_written(self, tmp_path: Path) -> None:
        (tmp_path / "s").write_text("A=1\n# a note\nB=x=y\n")
        file = SecretsFile(tmp_path / "s")
        assert file.value("C", lambda: "new") == "new"
        assert [file.value(name, lambda: "lost") for name in "ABC"] == ["1", "x=y", "new"]

    def test_an_empty_value_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "s").write_text("A=\n")
        assert SecretsFile(tmp_path / "s").value("A", lambda: "made") == "made"


class TestLocked:
    def test_names_the_holder_to_a_second_one(self, made: Home) -> None:
        with (
            made.locked(URL),
            pytest.raises(AlreadyRunning) as refused,
            made.locked("http://127.0.0.1:9"),
        ):
            pass
        assert str(refused.value) == (
            f"PayFlow is already running at {URL} (pid {os.getpid()}), home {made.path}."
        )

    def test_is_free_again_afterwards(self, made: Home) -> None:
        for _ in range(2):
            with made.locked(URL):
                pass

    def test_dies_with_its_holder(
        self, made: Home, spawn: Callable[..., subprocess.Popen[str]]
    ) -> None:
        program = (
            "import sys, time, pathlib\n"
            "from payflow.runtime.home import Home\n"
            "with Home(pathlib.Path(sys.argv[1])).locked('x'):\n"
            "    print('held', flush=True); time.sleep(60)"
        )
        holder = spawn("-c", program, str(made.path), stdout=subprocess.PIPE)
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(AlreadyRunning), made.locked(URL):
            pass
        holder.kill()
        holder.wait()
        with made.locked(URL):
            pass
