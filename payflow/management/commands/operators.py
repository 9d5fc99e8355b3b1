"""
`manage.py operators`: who may log in to the admin, and letting in who is locked out.

    operators list
    operators unlock NAME [--address A] --reason R

Unlocking is audited with the name of who did it. A forgotten password: `manage.py changepassword`.
"""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow.operators.tries import unlock
from shared.management.accounting import add_accounting, operator_of

_HELP = __doc__


class Command(BaseCommand):
    """Doors only: what is forgotten is decided in `payflow.operators.tries`."""

    help = _HELP

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        """Keep the lines of the help as they are."""
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser per verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="who may log in")
        unlocking = verbs.add_parser("unlock", help="let somebody try again at once")
        unlocking.add_argument("name", help="as they type it")
        unlocking.add_argument("--address", default="", help="from which too many tries came")
        add_accounting(unlocking)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        {"list": self._list, "unlock": self._unlock}[options["verb"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        for person in User.objects.filter(is_staff=True).order_by("username"):
            rights = "superuser" if person.is_superuser else "staff"
            state = rights if person.is_active else f"{rights}, inactive"
            seen = f"{person.last_login:%Y-%m-%d %H:%M}" if person.last_login else "never"
            self.stdout.write(f"{person.get_username():<24} {state:<20} last log-in {seen}")

    def _unlock(self, options: dict[str, Any]) -> None:
        name = options["name"]
        if not User.objects.filter(username__iexact=name).exists():
            raise CommandError("Nobody has that name; `operators list` says who may log in.")
        unlock(name, address=options["address"], **operator_of(options))
        self.stdout.write(f"{name} may try again.")
