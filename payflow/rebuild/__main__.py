"""The child: listens to the copied events in the other database, then prints their traces."""

import sys

import django
import structlog
from django.db import connection

from payflow.rebuild import LISTENERS


def main() -> None:
    """Listen, then print a line per story."""
    django.setup()
    # Only now: what has models needs Django.
    from payflow.rebuild.traces import traces_of
    from shared.event_bus import rebuilding

    if parked := rebuilding.drain_only(LISTENERS):
        structlog.get_logger(__name__).warning("refused by their listeners", publications=parked)
    for stories in rebuilding.stories(connection.connection):
        for trace in traces_of(stories):
            sys.stdout.write(f"{trace.as_line()}\n")


if __name__ == "__main__":
    main()
