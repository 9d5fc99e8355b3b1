"""The roles and databases of the embedded server, and how one logs in as each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from payflow.runtime.errors import CannotStart
from payflow.runtime.secrets_file import SecretsFile

SUPERUSER = "postgres"
OWNER = "payflow_owner"
APP = "payflow_app"
BROKER = "payflow_broker"

DATABASE = "payflow"
BROKER_DATABASE = "payflow_broker"

_ATTRIBUTES: dict[str, LiteralString] = {
    OWNER: "LOGIN CREATEDB NOCREATEROLE NOSUPERUSER",
    APP: "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER",
    BROKER: "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER",
}
_PASSWORD_VARIABLES = {
    SUPERUSER: "PAYFLOW_PG_SUPERUSER_PASSWORD",
    OWNER: "PAYFLOW_PG_OWNER_PASSWORD",
    APP: "PAYFLOW_PG_APP_PASSWORD",
    BROKER: "PAYFLOW_PG_BROKER_PASSWORD",
}

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Logins:
    """Passwords of the roles, generated once per home, and the URLs made of them."""

    secrets: SecretsFile
    generate: Callable[[], str]

    @property
    def exist(self) -> bool:
        """Whether this home has had a server before."""
        return self.secrets.has(_PASSWORD_VARIABLES[SUPERUSER])

    def password(self, role: str) -> str:
        """The password of a role."""
        return self.secrets.value(_PASSWORD_VARIABLES[role], self.generate)

    def url(self, role: str, database: str, port: int, *, scheme: str = "postgresql") -> str:
        """A connection URL; passwords are made of characters that need no quoting in one."""
        return f"{scheme}://{role}:{self.password(role)}@127.0.0.1:{port}/{database}"


def prepare_databases(logins: Logins, port: int) -> None:
    """Brings roles and databases into their intended state, whatever they are in now."""
    with psycopg.connect(logins.url(SUPERUSER, "postgres", port), autocommit=True) as connection:
        for role in _ATTRIBUTES:
            _ensure_role(connection, role, logins.password(role))
        _ensure_database(connection, DATABASE, owner=OWNER)
        _ensure_database(connection, BROKER_DATABASE, owner=BROKER)
        _limit_connections(connection)
    with psycopg.connect(logins.url(BROKER, BROKER_DATABASE, port)) as connection:
        _ensure_queues(connection)


def _ensure_role(connection: Connection, role: str, password: str) -> None:
    name = sql.Identifier(role)
    if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    # Hashed here, so that the password itself can appear in no log or view of the server.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    )
    statement = sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(
        name, sql.SQL(_ATTRIBUTES[role]), sql.Literal(verifier.decode())
    )
    connection.execute(statement)


def _ensure_database(connection: Connection, database: str, *, owner: str) -> None:
    if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
        statement = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(statement.format(sql.Identifier(database), sql.Identifier(owner)))


def _limit_connections(connection: Connection) -> None:
    """Who may connect where; `payflow_owner` needs `postgres` to create test databases from."""
    for statement in (
        f"REVOKE ALL ON DATABASE {DATABASE}, {BROKER_DATABASE}, postgres, template1 FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {APP}",
        f"GRANT CONNECT ON DATABASE postgres TO {OWNER}",
    ):
        connection.execute(statement.encode())


def _ensure_queues(connection: Connection) -> None:
    # One transaction: a half-installed schema would look like an installed one.
    if not _exists(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", "pgmq"):
        connection.execute(_install_sql())


def _install_sql() -> bytes:
    # Only now: who names a database and a broker needs neither this server nor that package.
    try:
        from pgmq.install import get_embedded_install_sql
    except ImportError:
        raise CannotStart(
            "The embedded PostgreSQL needs the extra that comes with it: pip install "
            "'payflow[embedded]', or `make run`, which does. Or set DATABASE_URL and "
            "CELERY_BROKER_URL."
        ) from None
    text: str = get_embedded_install_sql()
    return text.encode()


def _exists(connection: Connection, query: LiteralString, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None
