"""`manage.py story`: tell what one payment went through, from the rows it left."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow.story.gather import StoryNotFound, gather
from payflow.story.page import lines_of
from shared import clock


class Command(BaseCommand):
    """Prints events with listeners, calls to processors, messages and journal entries."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take an id."""
        parser.add_argument("id", help="a correlation id, or a payment's")

    def handle(self, *args: Any, id: str, **options: Any) -> None:  # noqa: A002 - the argument
        """Gather and print."""
        now = clock.now()
        try:
            story = gather(UUID(id), now=now)
        except ValueError:
            raise CommandError(f"{id!r} is not an id: it must be a UUID.") from None
        except StoryNotFound:
            raise CommandError(f"Nothing is known of a story or a payment {id}.") from None
        for line in lines_of(story, now=now):
            self.stdout.write(line)
