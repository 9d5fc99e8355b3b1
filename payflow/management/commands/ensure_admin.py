"""`manage.py ensure_admin`: the first person who can log in."""

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from payflow.env import environment

ALIAS = "owner"
USERNAME = "admin"
VARIABLE = "PAYFLOW_ADMIN_PASSWORD"


class Command(BaseCommand):
    """Creates the superuser `admin` at the first start, and leaves an existing one alone."""

    help = f"Create the superuser {USERNAME!r} with {VARIABLE}, unless there is one."

    def handle(self, *_arguments: object, **_options: object) -> None:
        """Idempotent: the password of an existing admin is theirs and is never reset."""
        self.stdout.write(_ensured(environment.text(VARIABLE)))


def _ensured(password: str) -> str:
    """Create whom there has to be; a sentence that is true of who can log in now."""
    people = User.objects.using(ALIAS)
    admin = people.filter(username=USERNAME).first()
    if admin is not None:
        return _known(admin)
    if password:
        _check(password)
        User.objects.db_manager(ALIAS).create_superuser(USERNAME, email="", password=password)
        return f"user {USERNAME} was created with {VARIABLE}"
    if others := people.filter(is_staff=True, is_active=True).count():
        return f"no user {USERNAME}; {others} other people may log in"
    return f"nobody can log in yet: set {VARIABLE}, or run manage.py createsuperuser"


def _known(admin: User) -> str:
    if admin.is_active and admin.is_staff and admin.has_usable_password():
        return f"user {USERNAME} exists, with the password it had"
    return f"user {USERNAME} exists and may not log in"


def _check(password: str) -> None:
    if not settings.IS_PRODUCTION:
        return
    try:
        validate_password(password)
    except ValidationError as refusal:
        raise CommandError(f"{VARIABLE}: {' '.join(refusal.messages)}") from None
