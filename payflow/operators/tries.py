"""
How often somebody may try to log in.

# Note [Locked out, and not for good]

A name is tried from an address five times, then once in three minutes: guessing is hopeless. An
attacker with many addresses meets a bucket of the name itself, which is larger; emptying it would
lock the real person out, so it does not count for a browser in which that person has logged in
before. It says so with a signed cookie and has a bucket of its own. Whoever is locked out
nevertheless is let in again by `manage.py operators unlock`.

Names that do not exist are counted alike, so that they cannot be told from those that do. A bucket
is named by a keyed hash: what was typed as a name may have been a password.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.conf import settings
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse

from shared import crypto, db
from shared.event_bus.operating import tell
from shared.http.addresses import subscriber
from shared.http.throttling import RateLimit, subscriber_of
from shared.identifiers import new_id

UNLOCK = "operator.unlock"
COOKIE = "payflow_browser"
_COOKIE_SECONDS = 180 * 24 * 3600
_COOKIE_PATH = "/admin/login/"

NAME_FROM_ADDRESS = RateLimit("login-name-address", capacity=5, refill_per_second=1 / 180)
NAME_IN_BROWSER = RateLimit("login-name-browser", capacity=10, refill_per_second=1 / 60)
NAME = RateLimit("login-name", capacity=50, refill_per_second=1 / 360)
ADDRESS = RateLimit("login-address", capacity=30, refill_per_second=1 / 60)
OLD_PASSWORD = RateLimit("login-old-password", capacity=5, refill_per_second=1 / 180)
"""Tries to change a password, per person: a stolen session must not become a stolen account."""


@dataclass(frozen=True)
class Attempt:
    """A try to log in: whose name, from where, and in which known browser, if in one."""

    name: str
    address: str
    browser: str

    @classmethod
    def of(cls, request: HttpRequest, typed: str) -> Self:
        """The try that a request makes with a name."""
        name = hashed(typed)
        return cls(name, subscriber_of(request), _browser_of(request, name))

    def begin(self) -> None:
        """Take what a try costs, before anything is hashed. Raises: Throttled."""
        if self.browser:
            NAME_IN_BROWSER.take(self._in_browser)
            return
        # The narrowest first: who is refused by it takes nothing from others.
        NAME_FROM_ADDRESS.take(self._from_address)
        ADDRESS.take(self.address)
        NAME.take(self.name)

    def take_back(self) -> None:
        """Give back what it cost: nothing was learnt by it."""
        if self.browser:
            NAME_IN_BROWSER.give_back(self._in_browser)
            return
        NAME_FROM_ADDRESS.give_back(self._from_address)
        ADDRESS.give_back(self.address)
        NAME.give_back(self.name)

    def succeeded(self) -> None:
        """It was the right password: earlier mistakes of the same person here are forgiven."""
        self.take_back()
        NAME_FROM_ADDRESS.forget(self._from_address)
        NAME_IN_BROWSER.forget(self._in_browser)

    @property
    def _from_address(self) -> str:
        return f"{self.name}:{self.address}"

    @property
    def _in_browser(self) -> str:
        return f"{self.name}:{self.browser}"


def hashed(typed: str) -> str:
    """A name as buckets know it: the same for every spelling that looks the same."""
    name = unicodedata.normalize("NFKC", typed).casefold().strip()
    digest = crypto.fingerprint(name.encode(errors="replace"), purpose="operator's name")
    return digest.hex()[:32]


def unlock(typed: str, *, address: str, actor: str, reason: str, now: datetime) -> None:
    """Let a name be tried again from everywhere, and an address with every name; audited."""
    name = hashed(typed)
    with db.transaction():
        NAME.forget(name)
        NAME_FROM_ADDRESS.forget_all_of(f"{name}:")
        NAME_IN_BROWSER.forget_all_of(f"{name}:")
        if address:
            ADDRESS.forget(subscriber(address))
        subject = f"{typed} from {address}" if address else typed
        tell(actor=actor, action=UNLOCK, subject=subject, reason=reason, now=now)


def remember_browser(request: HttpRequest, response: HttpResponse, username: str) -> None:
    """Let the answer say that this person has logged in here."""
    name = hashed(username)
    browser = _browser_of(request, name) or str(new_id())
    response.set_signed_cookie(
        COOKIE,
        f"{name}:{browser}",
        salt=COOKIE,
        max_age=_COOKIE_SECONDS,
        path=_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )


def _browser_of(request: HttpRequest, name: str) -> str:
    try:
        said = request.get_signed_cookie(COOKIE, "", salt=COOKIE, max_age=_COOKIE_SECONDS)
    except BadSignature:
        return ""
    whose, _, browser = str(said).partition(":")
    return browser if whose == name else ""
