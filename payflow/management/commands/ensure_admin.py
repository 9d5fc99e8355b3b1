"""`manage.py ensure_admin`: the first person who can log in."""

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

from payflow.env import environment

ALIAS = "owner"
USERNAME = "admin"


class Command(BaseCommand):
    """Creates the superuser `admin` at the first start, and leaves an existing one alone."""

    help = f"Create the superuser {USERNAME!r} with PAYFLOW_ADMIN_PASSWORD, unless there is one."

    def handle(self, *_arguments: object, **_options: object) -> None:
        """Idempotent: the password of an existing admin is theirs and is never reset."""
        password = environment.text("PAYFLOW_ADMIN_PASSWORD")
        people = User.objects.db_manager(ALIAS)
        if people.filter(username=USERNAME).exists():
            self.stdout.write(f"{USERNAME} exists already")
        elif not password:
            self.stdout.write(f"PAYFLOW_ADMIN_PASSWORD is not set: {USERNAME} was not created")
        else:
            people.create_superuser(username=USERNAME, email="", password=password)
            self.stdout.write(f"{USERNAME} created")
