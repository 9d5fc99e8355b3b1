"""Who is let into the admin: staff with the right password, after not too many wrong ones."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from payflow.operators import trail
from payflow.operators.hashing import known
from payflow.operators.trail import Outcome
from payflow.operators.tries import Attempt
from shared.errors import Unavailable


class OperatorBackend(ModelBackend):
    """
    Django's users, with a limit on tries and a trail of them, wherever one authenticates.

    A name that nobody has costs and answers the same as a wrong password.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_: Any,
    ) -> User | None:
        """
        The person, if it is them.

        Raises:
            Throttled: too many tries; nothing was looked at.
            Unavailable: other passwords are being hashed; it does not count as a try.

        """
        if request is None or username is None or password is None:
            return None
        attempt = Attempt.of(request, username)
        try:
            attempt.begin()
        except Throttled:
            trail.note_typed(Outcome.LOCKED_OUT, typed=username, address=attempt.address)
            raise
        try:
            with known(is_so=bool(attempt.browser)):
                person = super().authenticate(request, username=username, password=password)
        except Unavailable:
            attempt.take_back()
            raise
        if person is None:
            trail.note_typed(Outcome.FAILED, typed=username, address=attempt.address)
            return None
        attempt.succeeded()
        name = person.get_username()
        trail.note(Outcome.SUCCEEDED, username=name, address=attempt.address)
        return person

    def user_can_authenticate(self, user: Any) -> bool:
        """Active staff: nobody else has anything to do here."""
        return bool(user.is_staff) and super().user_can_authenticate(user)
