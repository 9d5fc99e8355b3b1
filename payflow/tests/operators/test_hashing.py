"""Hashing passwords: bounded, so that the API is never starved by it."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import (
    PBKDF2PasswordHasher,
    check_password,
    identify_hasher,
    make_password,
)
from django.contrib.auth.models import User
from django.test import Client

from payflow.operators import hashing
from shared.errors import Unavailable
from shared.models import RateBucket
from shared.testing.operators import OperatorClient


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 0.05)


@pytest.fixture
def held_by_strangers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Strangers take all their places, one after the other."""
    monkeypatch.setattr(hashing, "_for_strangers", threading.BoundedSemaphore(1))
    assert hashing._for_strangers.acquire(blocking=False)
    yield
    hashing._for_strangers.release()


@pytest.fixture
def held(impatient: None) -> Iterator[None]:
    """Somebody else is hashing all the time."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        over.wait(30)
        return ""

    holder = threading.Thread(target=hashing.in_turn, args=(hold,))
    holder.start()
    assert begun.wait(30)
    yield
    over.set()
    holder.join()


HASH = "pbkdf2_sha256$1000000$salt$x"


class TestHashing:
    def test_makes_and_knows_djangos_hashes(self) -> None:
        ours = make_password("a right and long one")
        assert identify_hasher(ours).algorithm == "pbkdf2_sha256"
        assert check_password("a right and long one", ours)
        assert not check_password("a wrong one", ours)
        djangos = PBKDF2PasswordHasher().encode("a right and long one", "salt", 1000)
        assert check_password("a right and long one", djangos)

    def test_is_done_one_at_a_time(self) -> None:
        running, lock = 0, threading.Lock()
        seen: list[int] = []

        def work() -> str:
            nonlocal running
            with lock:
                running += 1
                seen.append(running)
            time.sleep(0.05)
            with lock:
                running -= 1
            return "done"

        def ask() -> None:
            try:
                hashing.in_turn(work)
            except Unavailable:
                refused.append(1)

        refused: list[int] = []
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(seen) == 1
        assert len(seen) + len(refused) == 8
        assert refused, "at most one waits"

    def test_refuses_the_third_at_once_and_the_second_after_a_moment(self, held: None) -> None:
        with pytest.raises(Unavailable, match="please try again"):
            hashing.in_turn(lambda: "")
        assert hashing._for_strangers.acquire(blocking=False)
        try:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                hashing.in_turn(lambda: "")
            assert time.monotonic() - started < hashing.PATIENCE_SECONDS
        finally:
            hashing._for_strangers.release()

    def test_keeps_places_for_who_has_been_here_before(self, held_by_strangers: None) -> None:
        with pytest.raises(Unavailable):
            hashing.in_turn(lambda: "")
        with hashing.known():
            assert hashing.in_turn(lambda: "done") == "done"
        with pytest.raises(Unavailable):
            hashing.in_turn(lambda: "")

    def test_goes_on_after_an_error(self) -> None:
        def fail() -> str:
            raise ZeroDivisionError

        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                hashing.in_turn(fail)
        assert hashing.in_turn(lambda: "done") == "done"

    @pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
    def test_gives_way_to_the_api(self) -> None:
        ours = os.getpriority(os.PRIO_PROCESS, 0)

        def niceness() -> str:
            return str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

        assert int(hashing.in_turn(niceness)) == max(ours, 10)
        assert os.getpriority(os.PRIO_PROCESS, 0) == ours


@pytest.mark.django_db
class TestEveryDoor:
    """Whoever makes us hash is told to come again, and nothing is changed or counted."""

    def busy(self, answer: Any) -> None:
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert b"Other passwords are being checked" in answer.content

    def test_log_in(self, held: None) -> None:
        body = {"username": "nobody", "password": "x"}
        for _ in range(10):
            self.busy(Client().post("/admin/login/", body))
        left = {b.bucket.partition(":")[0]: b.tokens for b in RateBucket.objects.all()}
        full = {"login-name": 50, "login-name-address": 5, "login-address": 30}
        assert {name: round(tokens) for name, tokens in left.items()} == full

    def test_is_open_to_who_has_logged_in_here_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        User.objects.create_superuser("olga", password="a right and long one")
        body = {"username": "olga", "password": "a right and long one"}
        browser = Client()
        assert browser.post("/admin/login/", body).status_code == 302
        browser.post("/admin/logout/")
        monkeypatch.setattr(hashing, "_for_strangers", threading.Semaphore(0))
        self.busy(Client().post("/admin/login/", body))
        assert browser.post("/admin/login/", body).status_code == 302

    def test_change_of_password(self, held: None) -> None:
        client = OperatorClient(User.objects.create(username="o", is_staff=True, password=HASH))
        new = {"new_password1": "quite another one", "new_password2": "quite another one"}
        answer = client.client.post("/admin/password_change/", {"old_password": "x", **new})
        self.busy(answer)
        assert User.objects.get(username="o").password == HASH

    def test_new_person_and_password_of_another(self, held: None) -> None:
        operator = OperatorClient(
            User.objects.create(username="o", is_staff=True, is_superuser=True)
        )
        word = {"password1": "quite another one", "password2": "quite another one"}
        about = {"username": "new", "usable_password": "true", **word}
        self.busy(operator.add(User, **about))
        assert not User.objects.filter(username="new").exists()
        other = User.objects.create(username="other", password=HASH)
        address = f"/admin/auth/user/{other.pk}/password/"
        self.busy(operator.client.post(address, {"usable_password": "true", **word}))
        other.refresh_from_db()
        assert other.password == HASH
