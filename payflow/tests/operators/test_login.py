"""Getting into the admin: with the right password, and by no number of wrong ones."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from payflow.operators import tries
from shared import clock
from shared.models import Event, RateBucket
from shared.testing.operators import text
from shared.testing.races import race

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
RIGHT, WRONG = "a right and long one", "a wrong one"


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here is who is let in; what hashing costs has tests of its own."""
    monkeypatch.setattr("payflow.operators.hashing.OneAtATime.iterations", 1)


@pytest.fixture
def olga() -> User:
    return User.objects.create_superuser("olga", password=RIGHT)


def log_in(
    name: str, password: str, address: str = "192.0.2.1", client: Client | None = None
) -> Any:
    body = {"username": name, "password": password}
    return (client or Client()).post(LOGIN, body, REMOTE_ADDR=address)


def told(action: str = "") -> list[dict[str, Any]]:
    events = Event.objects.filter(event_type="Operator.Action.Taken").order_by("sequence")
    return [e.payload for e in events if not action or e.payload["action"] == action]


def let_pass(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shared.rate_bucket SET refilled_at = refilled_at - make_interval(secs => %s)",
            [seconds],
        )


def complaint(answer: Any) -> str:
    found = re.search(r'<p class="errornote">\s*(.*?)\s*</p>', answer.content.decode(), re.DOTALL)
    assert found, answer.content
    return found[1]


class TestLogin:
    def test_lets_in_who_knows_the_password(self, olga: User) -> None:
        client = Client()
        answer = log_in("olga", RIGHT, client=client)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
        assert client.get("/admin/").status_code == 200

    def test_lets_nobody_else_in(self, olga: User) -> None:
        User.objects.create_user("no-staff", password=RIGHT)
        User.objects.create_superuser("gone", password=RIGHT, is_active=False)
        User.objects.create_superuser("without")
        said = {
            complaint(log_in(name, password))
            for name, password in (
                ("olga", WRONG),
                ("nobody", RIGHT),
                ("no-staff", RIGHT),
                ("gone", RIGHT),
                ("without", RIGHT),
            )
        }
        assert len(said) == 1
        assert "The name or the password is wrong" in said.pop()

    def test_ends_a_session_after_twelve_hours_however_it_is_used(self, olga: User) -> None:
        client = Client()
        answer = log_in("olga", RIGHT, client=client)
        cookie = answer.cookies[configured.SESSION_COOKIE_NAME]
        assert 12 * 3600 - 60 < int(cookie["max-age"]) <= 12 * 3600
        ends = Session.objects.get().expire_date
        assert timedelta(hours=11, minutes=59) < ends - clock.now() <= timedelta(hours=12)
        session = client.session
        session["used"] = "again"
        session.save()
        assert Session.objects.get().expire_date == ends

    def test_costs_the_same_whether_a_name_exists(
        self, olga: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed: list[str] = []

        def encode(self: object, password: str, salt: str, iterations: int | None = None) -> str:
            hashed.append(password)
            return f"pbkdf2_sha256$1${salt}$x"

        monkeypatch.setattr("payflow.operators.hashing.OneAtATime.encode", encode)
        costs = []
        for name in ("olga", "nobody"):
            hashed.clear()
            log_in(name, WRONG)
            costs.append(len(hashed))
        assert costs[0] == costs[1] > 0


class TestTries:
    def guesses(self, name: str, count: int, address: str = "192.0.2.1") -> list[int]:
        return [log_in(name, WRONG, address).status_code for _ in range(count)]

    @pytest.mark.parametrize("name", ["olga", "nobody"])
    def test_are_five_from_one_address(self, olga: User, name: str) -> None:
        assert self.guesses(name, 7) == [200] * 5 + [429] * 2
        answer = log_in(name, RIGHT)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "180"
        assert "Too many tries. Wait 3 minutes" in complaint(answer)

    def test_would_go_on_for_ever_without_a_limit(
        self, olga: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The naive twin: Django's own backend."""
        monkeypatch.setattr(tries.Attempt, "begin", lambda self: None)
        assert self.guesses("olga", 40) == [200] * 40
        assert log_in("olga", RIGHT).status_code == 302

    def test_come_back_with_time(self, olga: User) -> None:
        self.guesses("olga", 6)
        let_pass(181)
        assert log_in("olga", RIGHT).status_code == 302

    def test_are_forgiven_after_the_right_password(self, olga: User) -> None:
        for _ in range(4):
            assert self.guesses("olga", 4) == [200] * 4
            assert log_in("olga", RIGHT).status_code == 302

    @pytest.mark.parametrize("spelling", ["OLGA", " olga", "ｏｌｇａ", "Olga"])
    def test_are_counted_whatever_the_spelling(self, olga: User, spelling: str) -> None:
        self.guesses("olga", 5)
        assert log_in(spelling, WRONG).status_code == 429

    def test_are_exact_when_made_at_once(self, olga: User) -> None:
        answers = race([lambda: self.guesses("olga", 1)[0]] * 12)
        assert answers.count(200) <= 5
        assert set(answers) <= {200, 429, 503}

    def test_of_one_address_are_bounded_over_all_names(self, olga: User) -> None:
        answers = [log_in(f"name-{n}", WRONG).status_code for n in range(40)]
        assert answers.count(200) == 30
        assert log_in("olga", RIGHT).status_code == 429
        assert log_in("olga", RIGHT, "192.0.2.2").status_code == 302

    def test_of_one_name_are_bounded_over_all_addresses(self, olga: User) -> None:
        answers = [log_in("olga", WRONG, f"198.51.100.{n}").status_code for n in range(60)]
        assert answers.count(200) == 50

    def test_lock_nobody_out_of_the_browser_they_use(self, olga: User) -> None:
        browser = Client()
        log_in("olga", RIGHT, client=browser)
        browser.post("/admin/logout/")
        for n in range(60):
            log_in("olga", WRONG, f"198.51.100.{n}")
        self.guesses("olga", 40)
        assert log_in("olga", RIGHT).status_code == 429
        assert log_in("olga", RIGHT, client=browser).status_code == 302

    def test_of_a_known_browser_are_bounded_too(self, olga: User) -> None:
        browser = Client()
        log_in("olga", RIGHT, client=browser)
        answers = [log_in("olga", WRONG, client=browser).status_code for _ in range(12)]
        assert answers == [200] * 10 + [429] * 2

    def test_are_not_more_with_a_cookie_of_somebody_else_or_made_up(self, olga: User) -> None:
        User.objects.create_superuser("pieter", password=RIGHT)
        browser = Client()
        log_in("pieter", RIGHT, client=browser)
        answers = [log_in("olga", WRONG, client=browser).status_code for _ in range(7)]
        assert answers == [200] * 5 + [429] * 2
        browser.cookies[tries.COOKIE] = f"{tries.hashed('olga')}:me:sig:nature"
        assert log_in("olga", WRONG, client=browser).status_code == 429

    def test_show_no_typed_name_in_the_buckets(self, olga: User) -> None:
        log_in("MyPassword99!", WRONG)
        names = list(RateBucket.objects.values_list("bucket", flat=True))
        assert names
        assert not [name for name in names if "mypassword99" in name.lower()]


class TestTrail:
    def test_has_who_came_and_went(self, olga: User) -> None:
        client = Client()
        log_in("olga", RIGHT, client=client)
        client.post("/admin/logout/", REMOTE_ADDR="192.0.2.1")
        came, went = told()
        assert (came["actor"], came["action"]) == ("olga", "operator.log_in")
        assert came["subject"] == "olga from 192.0.2.1"
        assert (went["actor"], went["action"]) == ("olga", "operator.log_out")

    def test_has_failures_and_lock_outs_of_who_exists(self, olga: User) -> None:
        for _ in range(7):
            log_in("OLGA", WRONG)
        failures, lock_outs = told("operator.log_in.fail"), told("operator.log_in.lock_out")
        assert (len(failures), len(lock_outs)) == (5, 2)
        assert {event["actor"] for event in failures} == {"a stranger"}
        assert {event["subject"] for event in failures} == {"olga from 192.0.2.1"}

    def test_never_has_what_was_typed_in_the_wrong_field(self, olga: User) -> None:
        log_in("hunter2hunter2", "olga")
        assert told()[0]["subject"] == "an unknown name from 192.0.2.1"
        assert "hunter2" not in str(told())

    def test_is_not_filled_by_strangers(self, olga: User) -> None:
        for n in range(60):
            log_in(f"nobody-{n}", WRONG, f"198.51.100.{n}")
        assert len(told()) == 20
        log_in("olga", WRONG)
        assert told()[-1]["subject"].startswith("olga")

    def test_has_changed_passwords_and_refused_changes(self, olga: User) -> None:
        client = Client()
        client.force_login(olga)
        new = {"new_password1": "quite another one", "new_password2": "quite another one"}
        refused = client.post("/admin/password_change/", {"old_password": WRONG, **new})
        assert refused.status_code == 200
        changed = client.post("/admin/password_change/", {"old_password": RIGHT, **new})
        assert changed.status_code == 302
        assert [e["action"] for e in told()] == [
            "operator.password.refuse",
            "operator.password.change",
        ]

    def test_of_a_stolen_session_ends_after_five_tries(self, olga: User) -> None:
        client = Client()
        client.force_login(olga)
        new = {"new_password1": "quite another one", "new_password2": "quite another one"}
        for _ in range(5):
            client.post("/admin/password_change/", {"old_password": WRONG, **new})
        answer = client.post("/admin/password_change/", {"old_password": RIGHT, **new})
        assert "Too many tries" in text(answer)
        olga.refresh_from_db()
        assert olga.check_password(RIGHT)


class TestUnlock:
    def test_lets_somebody_in_at_once_and_is_audited(
        self, olga: User, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for n in range(40):
            log_in("olga", WRONG, f"192.0.2.{n % 6}")
        for n in range(40):
            log_in(f"nobody-{n}", WRONG, "192.0.2.1")
        command = ("operators", "unlock", "Olga", "--reason=asked by phone", "--actor=pieter")
        assert log_in("olga", RIGHT).status_code == 429
        call_command(*command)
        assert log_in("olga", RIGHT).status_code == 429, "the address is still refused"
        call_command(*command, "--address=192.0.2.1")
        assert log_in("olga", RIGHT).status_code == 302
        assert "may try again" in capsys.readouterr().out
        event = told("operator.unlock")[-1]
        assert (event["actor"], event["reason"]) == ("pieter", "asked by phone")
        assert event["subject"] == "Olga from 192.0.2.1"

    def test_knows_no_strangers(self) -> None:
        with pytest.raises(CommandError, match="Nobody has that name"):
            call_command("operators", "unlock", "nobody", "--reason=x")

    def test_lists_who_may_log_in(self, olga: User, capsys: pytest.CaptureFixture[str]) -> None:
        User.objects.create_user("no-staff")
        call_command("operators", "list")
        told = capsys.readouterr().out
        assert re.search(r"olga +superuser +last log-in never", told)
        assert "no-staff" not in told
