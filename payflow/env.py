"""
Typed reading of environment variables: the one place that looks at `os.environ` for settings.

An empty variable counts as unset everywhere, so that `DATABASE_URL=` in an `.env` file or a compose
file means "not configured" and never "configured to nothing".
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from shared.http.addresses import Network, networks


@dataclass(frozen=True)
class Environment:
    """Reads variables by name, with defaults, and names the variable in every complaint."""

    variables: Mapping[str, str]

    @property
    def is_production(self) -> bool:
        """Whether real money may move: missing secrets then stop the start."""
        mode = self.text("PAYFLOW_MODE", "sandbox")
        if mode not in ("sandbox", "production"):
            raise ImproperlyConfigured(f"PAYFLOW_MODE must be sandbox or production, not {mode!r}.")
        return mode == "production"

    def text(self, name: str, default: str = "") -> str:
        """The variable as text, or the default when it is unset or empty."""
        return self.variables.get(name) or default

    def number(self, name: str, default: int, *, at_least: int | None = None) -> int:
        """The variable as a whole number."""
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
        if at_least is not None and number < at_least:
            raise ImproperlyConfigured(f"{name} must be {at_least} or more, not {number}.")
        return number

    def flag(self, name: str, *, default: bool = False) -> bool:
        """The variable as yes or no (1/true/yes/on, 0/false/no/off)."""
        value = self.text(name, "yes" if default else "no").lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")

    def names(self, name: str, default: str = "") -> list[str]:
        """The variable as a comma-separated list."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def host(self, url: str) -> str:
        """The host of a URL as a `Host` header names it, without its port."""
        host = urlsplit(url).hostname or ""
        return f"[{host}]" if ":" in host else host

    def networks(self, name: str) -> tuple[Network, ...]:
        """The variable as a comma-separated list of addresses and networks."""
        value = self.text(name)
        try:
            return networks(value)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} is no list of networks: {error}.") from None

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """The variable as one of a few words; the first of them when it is unset."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {value!r}.")
        return value

    def secret(self, name: str, *, sandbox_default: str) -> str:
        """A secret: a fixed well-known value in the sandbox, never one in production."""
        return self.text(name, "" if self.is_production else sandbox_default)

    @property
    def has_single_role(self) -> bool:
        """Whether one database role is to own the tables and to serve."""
        return self.flag("PAYFLOW_SINGLE_DATABASE_ROLE")

    def role(self, name: str) -> str:
        """The role that a database URL names; empty when the variable is unset."""
        url = self.text(name)
        return str(environ.Env.db_url_config(url).get("USER") or "") if url else ""

    def stripe_key(self) -> str:
        """Stripe's secret key, if any: a live one in production, a test one in the sandbox."""
        value = self.text("PAYFLOW_STRIPE_SECRET_KEY")
        is_live = value.startswith(("sk_live_", "rk_live_"))
        if value and is_live != self.is_production:
            wanted = "sk_live_ or rk_live_" if self.is_production else "sk_test_ or rk_test_"
            raise ImproperlyConfigured(
                f"PAYFLOW_STRIPE_SECRET_KEY must begin with {wanted} in this PAYFLOW_MODE."
            )
        return value

    def database(self, name: str, default: str, settings: dict[str, Any]) -> dict[str, Any]:
        """A database URL as a Django DATABASES entry; the options in its query win (sslmode, …)."""
        url = self.text(name, default)
        config: dict[str, Any] = dict(environ.Env.db_url_config(url, engine="shared.postgres"))
        options = {**settings["OPTIONS"], **config.get("OPTIONS", {})}
        return {**config, **settings, "OPTIONS": options}


environment = Environment(os.environ)
