"""What production refuses to start with, in every process, and what it starts with."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, connections
from django.db.backends.signals import connection_created

from payflow import production, published, roles
from payflow.env import Environment
from payflow.runtime.home import PROJECT
from payflow.runtime.postgres_roles import SUPERUSER, Logins
from payflow.runtime.secrets_file import SecretsFile
from payflow.tests.processes import database_urls

KEY_RING = "k1:bm90IHB1Ymxpc2hlZCwgYnV0IGluIGEgdGVzdCBvLms="
SOUND = {
    "PAYFLOW_MODE": "production",
    "PAYFLOW_SECRET_KEY": "0123456789" * 5,
    "PAYFLOW_KEY_RING": KEY_RING,
    "PAYFLOW_ALLOWED_HOSTS": "pay.example.com,127.0.0.1",
    "PAYFLOW_PUBLIC_URL": "https://pay.example.com",
    "EMAIL_HOST": "smtp.example.com",
    "DEFAULT_FROM_EMAIL": "PayFlow <no-reply@pay.example.com>",
    "DATABASE_URL": "postgresql://payflow_app:a9f3@db:5432/payflow",
    "DATABASE_OWNER_URL": "postgresql://payflow_owner:b8e2@db:5432/payflow",
}
WRONG = [
    ("PAYFLOW_SECRET_KEY", ""),
    ("PAYFLOW_SECRET_KEY", published.SECRET_KEY),
    ("PAYFLOW_SECRET_KEY", "0123456789" * 4),
    ("PAYFLOW_SECRET_KEY", "abcd" * 20),
    ("PAYFLOW_KEY_RING", ""),
    ("PAYFLOW_KEY_RING", published.KEY_RING),
    ("PAYFLOW_KEY_RING", f"{KEY_RING},old:{published.KEY_RING.partition(':')[2]}"),
    ("PAYFLOW_KEY_RING", f"k1:{'A' * 43}="),
    ("PAYFLOW_KEY_RING", "k1:c2hvcnQ="),
    ("PAYFLOW_ALLOWED_HOSTS", ""),
    ("PAYFLOW_ALLOWED_HOSTS", "localhost,127.0.0.1"),
    ("PAYFLOW_ALLOWED_HOSTS", "pay.example.com,*"),
    ("PAYFLOW_ALLOWED_HOSTS", "pay.example.com,testserver"),
    ("PAYFLOW_PUBLIC_URL", ""),
    ("PAYFLOW_PUBLIC_URL", "http://pay.example.com"),
    ("EMAIL_HOST", ""),
    ("EMAIL_HOST_PASSWORD", "secret"),
    ("DEFAULT_FROM_EMAIL", ""),
    ("DEFAULT_FROM_EMAIL", "PayFlow <no-reply@payflow.localhost>"),
    ("DATABASE_URL", ""),
    ("DATABASE_URL", "postgresql://payflow_app:app-for-development@db:5432/payflow"),
    ("DATABASE_URL", "postgresql://payflow_app:app%2Dfor-development@db:5432/payflow"),
    ("DATABASE_OWNER_URL", SOUND["DATABASE_URL"]),
    ("DATABASE_OWNER_URL", "postgresql://payflow_owner:owner-for-development@db:5432/payflow"),
    ("CELERY_BROKER_URL", "amqp://payflow:rabbitmq-for-development@rabbitmq:5672//"),
    ("PAYFLOW_METRICS_TOKEN", "metrics-for-development"),
    ("PAYFLOW_METRICS_TOKEN", "fifteen-letters"),
    ("PAYFLOW_TRUSTED_PROXIES", "0.0.0.0/0"),
    ("PAYFLOW_TRUSTED_PROXIES", "10.0.0.0/8,128.0.0.0/7"),
    ("PAYFLOW_TRUSTED_PROXIES", "10.0.0.0/8,::/0"),
    ("PAYFLOW_TRUSTED_PROXIES", "2000::/15"),
    ("PAYFLOW_STRIPE_WEBHOOK_SECRET", "secret"),
    ("PAYFLOW_STRIPE_API_BASE", "http://127.0.0.1:8001/stripe"),
    ("PAYFLOW_FAILPOINTS", "finish.effect=kill"),
]


def looked_at(**changes: str) -> None:
    production.refuse_to_start_wrongly(Environment(SOUND | changes))


class TestProduction:
    def test_starts_with_what_is_sound(self) -> None:
        looked_at()
        looked_at(DATABASE_OWNER_URL="")

    @pytest.mark.parametrize(("name", "value"), WRONG)
    def test_names_what_is_wrong_and_never_repeats_a_secret(self, name: str, value: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=name) as refusal:
            looked_at(**{name: value})
        is_short = len(value) < 10
        assert is_short or "PASSWORD" in name or value not in str(refusal.value)

    def test_takes_proxies_of_its_network_and_a_token_that_nobody_guesses(self) -> None:
        looked_at(PAYFLOW_TRUSTED_PROXIES="10.0.0.0/8,127.0.0.1,2001::/16,fd00::1")
        looked_at(PAYFLOW_METRICS_TOKEN="sixteen-letters!")

    def test_says_everything_at_once(self) -> None:
        with pytest.raises(ImproperlyConfigured) as refusal:
            looked_at(EMAIL_HOST="", PAYFLOW_SECRET_KEY="x", PAYFLOW_PUBLIC_URL="")
        assert len(str(refusal.value).splitlines()) == 4

    def test_wants_stripes_webhook_secret_with_its_key(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="PAYFLOW_STRIPE_WEBHOOK_SECRET"):
            looked_at(PAYFLOW_STRIPE_SECRET_KEY="sk_live_x")
        looked_at(PAYFLOW_STRIPE_SECRET_KEY="sk_live_x", PAYFLOW_STRIPE_WEBHOOK_SECRET="whsec_x")

    def test_takes_one_role_for_both_when_it_is_said(self) -> None:
        looked_at(DATABASE_OWNER_URL=SOUND["DATABASE_URL"], PAYFLOW_SINGLE_DATABASE_ROLE="yes")


class TestPublished:
    def test_knows_every_secret_that_stands_in_the_examples(self) -> None:
        compose = (PROJECT / "docker-compose.yml").read_text()
        defaults = re.findall(r"\$\{\w+:-([^{}$]+)\}", compose)
        example = (PROJECT / ".env.example").read_text()
        passwords = [f"x://u:{word}@h" for word in re.findall(r"://\w+:([^@\s]+)@", example)]
        named = re.findall(r"^#\w*(?:PASSWORD|SECRET|TOKEN|KEY|RING)=(\S+)$", example, re.MULTILINE)
        suspects = [value for value in defaults if value.endswith("-for-development")]
        assert len(suspects) > 5 and passwords and named
        unknown = [v for v in (*suspects, *passwords, *named) if not published.is_published(v)]
        assert unknown == []

    @pytest.mark.parametrize("harmless", ["", "http://[", "whsec_something", "x://u@h"])
    def test_knows_no_others(self, harmless: str) -> None:
        assert not published.is_published(harmless)


def run(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PAYFLOW_", "DATABASE_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


PROCESSES = {
    "web": ("-c", "import payflow.runtime.wsgi"),
    "dispatcher": ("manage.py", "dispatch"),
    "worker": ("-m", "celery", "-A", "payflow.celery", "worker", "--pool=solo"),
    "beat": ("-m", "celery", "-A", "payflow.celery", "beat", "-S", "celery.beat.Scheduler"),
    "migrate": ("manage.py", "migrate", "--database=owner"),
}


@pytest.mark.xdist_group("processes")
class TestEveryProcess:
    @pytest.mark.parametrize("process", PROCESSES)
    def test_names_a_published_secret(self, process: str) -> None:
        variables = SOUND | {"PAYFLOW_KEY_RING": published.KEY_RING}
        ended = run(*PROCESSES[process], **variables)
        assert ended.returncode != 0
        assert "PAYFLOW_KEY_RING: key sandbox is published" in ended.stderr

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("PAYFLOW_KEY_RING", "k1:abc", "PAYFLOW_KEY_RING must be id:base64 of 32 bytes"),
            ("PAYFLOW_KEY_RING", f"{KEY_RING},{KEY_RING}", "PAYFLOW_KEY_RING names one key twice"),
            ("PAYFLOW_DISPATCH", "wbe", "PAYFLOW_DISPATCH must be process or web, not 'wbe'"),
        ],
    )
    def test_of_the_sandbox_does_not_start_misspelt_either(
        self, name: str, value: str, words: str
    ) -> None:
        ended = run("manage.py", "check", **{name: value})
        assert ended.returncode == 1
        assert ended.stderr.startswith("Wrongly configured: ") and words in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_deploys_without_warnings(self) -> None:
        ended = run("manage.py", "check", "--deploy", "--fail-level=WARNING", **SOUND)
        assert ended.returncode == 0, ended.stderr

    @pytest.mark.django_db
    @pytest.mark.parametrize("process", ["web", "dispatcher", "worker", "beat"])
    def test_does_not_serve_as_the_owner(self, process: str) -> None:
        variables = SOUND | {"DATABASE_URL": database_urls()["DATABASE_OWNER_URL"]}
        ended = run(*PROCESSES[process], **variables | {"DATABASE_OWNER_URL": ""})
        assert ended.returncode != 0
        assert "DATABASE_URL: the role payflow_owner owns the tables" in ended.stderr

    @pytest.mark.django_db
    def test_serves_as_another_role(self) -> None:
        variables = SOUND | database_urls() | {"DATABASE_OWNER_URL": ""}
        ended = run("-c", "import payflow.runtime.wsgi; print('serves')", **variables)
        assert ended.stdout == "serves\n", ended.stderr

    @pytest.mark.django_db
    def test_does_not_migrate_without_an_owner(self) -> None:
        urls = database_urls()
        alone = SOUND | {"DATABASE_URL": urls["DATABASE_OWNER_URL"], "DATABASE_OWNER_URL": ""}
        ended = run(*PROCESSES["migrate"], **alone)
        assert ended.returncode != 0
        assert "DATABASE_OWNER_URL is not set" in ended.stderr
        said = run(*PROCESSES["migrate"], **alone, PAYFLOW_SINGLE_DATABASE_ROLE="yes")
        assert said.returncode == 0, said.stderr
        ours = run(*PROCESSES["migrate"], **SOUND | urls)
        assert ours.returncode == 0, ours.stderr


@contextmanager
def as_member_without_rights(of: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection as a role that inherits nothing of `of`, but may SET ROLE to it."""
    at = connection.settings_dict
    logins = Logins(SecretsFile(Path(os.environ["PAYFLOW_TEST_HOME"], "secrets.env")), str)
    with psycopg.connect(logins.url(SUPERUSER, at["NAME"], int(at["PORT"]))) as superuser:
        superuser.execute("CREATE ROLE payflow_member NOINHERIT")
        superuser.execute(f"GRANT {of} TO payflow_member".encode())
        superuser.execute("SET LOCAL ROLE payflow_member")
        yield superuser
        superuser.rollback()


@pytest.mark.django_db
class TestRoles:
    @pytest.fixture
    def in_production(self, settings: Any) -> None:
        settings.OWNER_MUST_BE_APART = True

    def test_that_serve_pass(self, in_production: None) -> None:
        roles.refuse_to_serve_as_owner()

    def test_that_own_do_not(self, in_production: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(roles, "connection", connections["owner"])
        with pytest.raises(ImproperlyConfigured, match="the role payflow_owner owns the tables"):
            roles.refuse_to_serve_as_owner()

    def test_that_could_become_the_owner_do_not(self, in_production: None) -> None:
        with as_member_without_rights("payflow_owner") as member:
            with pytest.raises(ImproperlyConfigured, match="the role payflow_member owns"):
                roles._refuse_owner(member)

    def test_are_looked_at_later_if_the_database_is_away(
        self, in_production: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_: object) -> None:
            raise OperationalError("gone")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(roles, "_refuse_owner", away)
            roles.refuse_to_serve_as_owner()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            connection.close()
            monkeypatch.setattr(roles, "_OWNS_TABLES", "SELECT 'olga', %s IS NOT NULL")
            with pytest.raises(ImproperlyConfigured, match="the role olga owns the tables"):
                connection.cursor()
            assert connection.connection is None
        finally:
            connection_created.disconnect(dispatch_uid=roles.__name__)

    def test_are_not_looked_at_where_it_does_not_matter(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(roles, "connection", SimpleNamespace(cursor=None))
        settings.OWNER_MUST_BE_APART = False
        roles.refuse_to_serve_as_owner()
