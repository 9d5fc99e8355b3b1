"""
What production refuses to start with: said by the settings, so in every process alike.

Each complaint names its variable and never repeats a secret. What only PostgreSQL can tell, whether
a role owns what it serves, is asked in `payflow.roles`.
"""

from collections.abc import Callable, Iterator

from django.core.exceptions import ImproperlyConfigured

from payflow import published
from payflow.env import Environment
from shared.crypto import KeyRing

_SECRETS = (
    "PAYFLOW_SECRET_KEY",
    "PAYFLOW_ADMIN_PASSWORD",
    "PAYFLOW_METRICS_TOKEN",
    "PAYFLOW_STRIPE_SECRET_KEY",
    "PAYFLOW_STRIPE_WEBHOOK_SECRET",
    "EMAIL_HOST_PASSWORD",
)
_URLS = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "CELERY_BROKER_URL",
    "REDIS_URL",
    "PAYFLOW_EVENTS_URL",
)
_REQUIRED = ("PAYFLOW_SECRET_KEY", "PAYFLOW_KEY_RING", "DATABASE_URL")
# As Django's own security check has it (W009).
_SECRET_KEY_LENGTH, _SECRET_KEY_VARIETY = 50, 5
_KEY_VARIETY = 8
"""Different bytes in a key: 32 random ones have fewer than that once in 10^33 keys."""
_METRICS_TOKEN_LENGTH = 16
_SHORTEST_PREFIX = {4: 8, 6: 16}
"""By IP version: networks larger than 10.0.0.0/8, or than an allocation, are nobody's proxies."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0"})  # noqa: S104
_OURS = ".localhost"
"""The end of the addresses that PayFlow makes up for the sandbox."""


def refuse_to_start_wrongly(environment: Environment) -> None:
    """
    Look at everything at once, so that whoever mends it starts again once.

    Raises:
        ImproperlyConfigured: a sentence per variable.

    """
    complaints = [text for look in _LOOKS for text in look(environment)]
    if complaints:
        lines = "\n".join(f"  {text}" for text in complaints)
        raise ImproperlyConfigured(f"PAYFLOW_MODE=production does not start with this:\n{lines}")


def _missing(given: Environment) -> Iterator[str]:
    for name in _REQUIRED:
        if not given.text(name):
            yield f"{name} must be set."


def _published(given: Environment) -> Iterator[str]:
    for name in (*_SECRETS, *_URLS):
        if published.is_published(given.text(name)):
            what = "the password in it" if name in _URLS else "its value"
            yield f"{name}: {what} is published with PayFlow, so everybody knows it."


def _secret_key(given: Environment) -> Iterator[str]:
    key = given.text("PAYFLOW_SECRET_KEY")
    if key and (len(key) < _SECRET_KEY_LENGTH or len(set(key)) < _SECRET_KEY_VARIETY):
        yield (
            f"PAYFLOW_SECRET_KEY must have {_SECRET_KEY_LENGTH} characters or more,"
            f" {_SECRET_KEY_VARIETY} of them different."
        )


def _key_ring(given: Environment) -> Iterator[str]:
    text = given.text("PAYFLOW_KEY_RING")
    for name, key in KeyRing.parse(text).keys if text else ():
        if published.is_published_key(key):
            yield f"PAYFLOW_KEY_RING: key {name} is published with PayFlow, so everybody knows it."
        elif len(set(key)) < _KEY_VARIETY:
            yield f"PAYFLOW_KEY_RING: key {name} is not random; use 32 random bytes."


def _hosts(given: Environment) -> Iterator[str]:
    names = given.names("PAYFLOW_ALLOWED_HOSTS")
    if not set(names) - _LOOPBACK:
        yield "PAYFLOW_ALLOWED_HOSTS must name the host that PayFlow is reached at."
    if wrong := sorted({"*", ".", "testserver"} & set(names)):
        yield f"PAYFLOW_ALLOWED_HOSTS must not contain {' or '.join(wrong)}."


def _public_url(given: Environment) -> Iterator[str]:
    if not given.text("PAYFLOW_PUBLIC_URL").startswith("https://"):
        yield "PAYFLOW_PUBLIC_URL must be the https:// address at which payers reach PayFlow."


def _trusted_proxies(given: Environment) -> Iterator[str]:
    for network in given.networks("PAYFLOW_TRUSTED_PROXIES"):
        if network.prefixlen < (shortest := _SHORTEST_PREFIX[network.version]):
            yield (
                f"PAYFLOW_TRUSTED_PROXIES: {network} is larger than any network of proxies; whoever"
                f" is in it says who a client is. Name one of /{shortest} or smaller."
            )


def _metrics_token(given: Environment) -> Iterator[str]:
    if 0 < len(given.text("PAYFLOW_METRICS_TOKEN")) < _METRICS_TOKEN_LENGTH:
        yield f"PAYFLOW_METRICS_TOKEN must have {_METRICS_TOKEN_LENGTH} characters or more."


def _email(given: Environment) -> Iterator[str]:
    if not given.text("EMAIL_HOST") and not given.text("EMAIL_BACKEND"):
        yield "EMAIL_HOST must be set: without it e-mails are files that nobody reads."
    if given.text("DEFAULT_FROM_EMAIL", _OURS).rstrip("> ").endswith(_OURS):
        yield "DEFAULT_FROM_EMAIL must be an address of yours, from which e-mails are sent."


def _stripe(given: Environment) -> Iterator[str]:
    if given.text("PAYFLOW_STRIPE_SECRET_KEY") and not given.text("PAYFLOW_STRIPE_WEBHOOK_SECRET"):
        yield "PAYFLOW_STRIPE_WEBHOOK_SECRET must be set with PAYFLOW_STRIPE_SECRET_KEY."
    if given.text("PAYFLOW_STRIPE_API_BASE"):
        yield "PAYFLOW_STRIPE_API_BASE must not be set: it sends charges elsewhere than to Stripe."


def _failpoints(given: Environment) -> Iterator[str]:
    if given.text("PAYFLOW_FAILPOINTS"):
        yield "PAYFLOW_FAILPOINTS must not be set in production."


def _roles(given: Environment) -> Iterator[str]:
    served_by, owned_by = given.role("DATABASE_URL"), given.role("DATABASE_OWNER_URL")
    if owned_by and served_by == owned_by and not given.has_single_role:
        yield (
            "DATABASE_OWNER_URL must name another role than DATABASE_URL: the one that serves must"
            " not own the journal. PAYFLOW_SINGLE_DATABASE_ROLE=yes does without that protection."
        )


_LOOKS: tuple[Callable[[Environment], Iterator[str]], ...] = (
    _missing,
    _published,
    _secret_key,
    _key_ring,
    _hosts,
    _public_url,
    _trusted_proxies,
    _metrics_token,
    _email,
    _stripe,
    _failpoints,
    _roles,
)
