"""The book: append-only, and still there after `kill -9`."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import urllib3

from payflow.sandbox.book import Book
from payflow.tests.sandbox.conftest import ROOT, Sandbox, new_key, wait_until


class TestPages:
    def test_go_on_where_the_last_one_ended(self, own_sandbox: Sandbox) -> None:
        keys = [new_key() for _ in range(5)]
        for key in keys:
            own_sandbox.authorise(key=key)
        first = own_sandbox.send("GET", "/book?limit=3").json()
        second = own_sandbox.send("GET", f"/book?limit=3&after={first['next']}").json()
        assert [line["key"] for line in first["lines"] + second["lines"]] == keys
        assert [line["sequence"] for line in first["lines"]] == [1, 2, 3]
        assert second["next"] is None
        assert own_sandbox.send("GET", "/book?limit=0").json() == {"lines": [], "next": None}


class TestLines:
    @pytest.mark.parametrize("statement", ["UPDATE line SET amount_minor = 1", "DELETE FROM line"])
    def test_cannot_be_changed(self, own_sandbox: Sandbox, statement: str) -> None:
        own_sandbox.authorise()
        with closing(sqlite3.connect(own_sandbox.book)) as connection:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)

    def test_are_there_whole_or_not_at_all(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "book")
        with pytest.raises(ZeroDivisionError), book.transaction():
            book.schedule(1, "approve", "{}")
            raise ZeroDivisionError
        assert book.next_due_at() is None
        book.close()


class TestKill:
    def test_nothing_that_was_answered_is_lost(self, own_sandbox: Sandbox) -> None:
        answered: dict[str, bytes] = {}

        def charge() -> None:
            while True:
                key = new_key()
                try:
                    answered[key] = own_sandbox.authorise(key=key).data
                except (urllib3.exceptions.HTTPError, OSError):
                    return

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(charge)
            wait_until(lambda: len(answered) > 100)
            own_sandbox.kill()
        own_sandbox.start()

        booked = [line["key"] for line in own_sandbox.lines()]
        assert len(booked) == len(set(booked))
        assert set(answered) <= set(booked)
        assert len(booked) - len(answered) <= 4
        for key, body in answered.items():
            assert own_sandbox.ask(key).data == body
            assert own_sandbox.authorise(key=key).data == body

    def test_what_is_due_is_done_after_the_restart(self, own_sandbox: Sandbox) -> None:
        pending, late = new_key(), new_key()
        own_sandbox.authorise("tok_pending", key=pending)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            own_sandbox.authorise("tok_late", key=late)
        own_sandbox.kill()
        own_sandbox.start()
        wait_until(lambda: own_sandbox.ask(pending).json().get("status") == "APPROVED")
        wait_until(lambda: own_sandbox.ask(late).status == 200)
        for key, expected in ((pending, ["PENDING", "APPROVED"]), (late, ["APPROVED"])):
            assert [line["status"] for line in own_sandbox.lines(key=key)] == expected

    def test_sigterm_ends_it_cleanly_with_calls_hanging(self, own_sandbox: Sandbox) -> None:
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(own_sandbox.authorise, "tok_timeout_after_charge")
            wait_until(own_sandbox.lines)
            assert own_sandbox.stop() == 0
            assert isinstance(hanging.exception(), urllib3.exceptions.HTTPError)
        assert not own_sandbox.book.with_suffix(".sqlite3-wal").exists()
        own_sandbox.start()
        assert len(own_sandbox.lines()) == 1


class TestStart:
    def run(self, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "payflow.sandbox", *options]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    def test_needs_a_secret(self, tmp_path: Path) -> None:
        refused = self.run("--book", str(tmp_path / "b"))
        assert refused.returncode == 1
        assert refused.stderr == "PAYFLOW_SANDBOX_SECRET must be set to printable ASCII.\n"

    def test_says_what_is_wrong_in_one_line(self, tmp_path: Path, sandbox: Sandbox) -> None:
        for options in (
            ["--book", str(tmp_path / "no" / "such" / "place")],
            ["--book", str(tmp_path / "b"), "--port", str(sandbox.port)],
            ["--book", str(tmp_path / "b"), "--port", "99999"],
        ):
            refused = self.run(*options, PAYFLOW_SANDBOX_SECRET="s")
            assert refused.returncode == 1
            assert "cannot be used" in refused.stderr
            assert refused.stderr.count("\n") == 1

    def test_calls_nobody_outside(self, tmp_path: Path) -> None:
        refused = self.run(
            "--book",
            str(tmp_path / "b"),
            PAYFLOW_SANDBOX_SECRET="s",
            PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL="https://example.com/",
        )
        assert refused.returncode == 1
        assert "PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL" in refused.stderr

    def test_imports_nothing_but_the_standard_library(self) -> None:
        code = (
            "import payflow.sandbox.application as _;"
            "ours = {name for name in sys.modules if name.partition('.')[0] not in"
            " sys.stdlib_module_names and name[0] != '_'};"
            "print(sorted(n for n in ours - {'payflow'} if not n.startswith('payflow.sandbox')))"
        )
        found = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {code}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout == "[]\n"


class TestFiles:
    def test_are_their_owners_alone(self, tmp_path: Path) -> None:
        """Also in a directory that everybody may look into: the book tells who paid whom."""
        book = tmp_path / "book.sqlite3"
        before = os.umask(0)  # as careless as can be
        try:
            sandbox = Sandbox(book).start()
        finally:
            os.umask(before)
        sandbox.authorise(key=new_key())
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("book.sqlite3*")}
        sandbox.stop()
        assert modes == {f"book.sqlite3{more}": 0o600 for more in ("", "-wal", "-shm")}
