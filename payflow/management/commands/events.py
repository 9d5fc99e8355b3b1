"""
`manage.py events`: what is still to be done, inside and outside, and what people can do about it.

    events list                  how much is outstanding, per listener and intent
    events list --parked         the rows that wait for somebody
    events show ID               a publication, an event, a message, an operation: its traceback
    events retry ID… | --listener L | --intent I | --all --reason R
    events skip ID… --reason R
    events replay --listener L (--story S | --from N --to N | --since T --until T) --reason R
    events rebuild --into URL    ledger and trail once more, from the events, and how they differ

Whatever changes something asks for a reason, which is audited with the name of who did it.
"""

import json
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from payflow.management import arguments, reports
from payflow.rebuild.run import NotRebuilt, rebuild
from shared import clock
from shared.errors import DomainError
from shared.event_bus import inspection, operating, standing
from shared.event_bus.inspection import Chosen
from shared.event_bus.replay import Range, replay
from shared.management.accounting import operator_of
from shared.models import Publication

_HELP = __doc__


class Command(BaseCommand):
    """Doors only: looking is `inspection` and `standing`, acting is `operating` and `replay`."""

    help = _HELP

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        """Keep the lines of the help as they are."""
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser per verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb, (summary, add) in arguments.VERBS.items():
            add(verbs.add_parser(verb, help=summary, description=summary))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says; a refusal is a message."""
        verbs: dict[str, Callable[..., None]] = {
            "list": self._list,
            "show": self._show,
            "retry": self._retry,
            "skip": self._skip,
            "replay": self._replay,
            "rebuild": self._rebuild,
        }
        try:
            verbs[options["verb"]](options)
        except DomainError as refusal:
            raise CommandError(refusal.detail) from None
        except (OperationalError, InterfaceError) as trouble:
            raise CommandError(f"The database says: {str(trouble).strip()}") from None

    def _list(self, options: dict[str, Any]) -> None:
        now = clock.now()
        chosen = Chosen(
            listener_id=options["listener"],
            intent_id=options["intent"],
            story=options["story"],
            only_parked=options["parked"],
        )
        if chosen == Chosen():
            backlogs = [*standing.backlog_by_listener(now), *standing.backlog_by_intent(now)]
            self._tell(options, backlogs, reports.backlogs(backlogs, now))
        else:
            pieces = inspection.list_pieces(chosen, limit=options["limit"], now=now)
            self._tell(options, pieces, reports.pieces(pieces, now))

    def _show(self, options: dict[str, Any]) -> None:
        now, wanted = clock.now(), options["id"]
        if isinstance(wanted, int):
            self._tell_of(options, inspection.get_publication(wanted, now=now), now)
            return
        try:
            self._tell_of(options, inspection.get_event(wanted, now=now), now)
        except inspection.NoSuchEvent:
            piece = inspection.get_work(wanted, now=now)
            self._tell(options, asdict(piece), reports.piece(piece))

    def _tell_of(self, options: dict[str, Any], told: inspection.Told, now: datetime) -> None:
        document = {"event": told.envelope, "publications": [asdict(w) for w in told.waiting]}
        self._tell(options, document, reports.told(told, now))

    def _retry(self, options: dict[str, Any]) -> None:
        ids, listener_id, intent_id = set(options["ids"]), options["listener"], options["intent"]
        if sum(map(bool, (ids, listener_id, intent_id, options["all"]))) != 1:
            raise CommandError("Name rows by their ids, or --listener, or --intent, or --all.")
        if ids:
            count = operating.retry_named(sorted(ids, key=str), **operator_of(options))
        else:
            count = operating.retry_all(
                listener_id=listener_id or None, intent_id=intent_id or None, **operator_of(options)
            )
        self.stdout.write(f"{count} due again.")

    def _skip(self, options: dict[str, Any]) -> None:
        count = operating.skip(Publication, sorted(set(options["ids"])), **operator_of(options))
        self.stdout.write(f"{count} given up.")

    def _replay(self, options: dict[str, Any]) -> None:
        facts = {name: options[name] for name in ("story", "first", "last", "since", "until")}
        chosen = Range(**{name: value for name, value in facts.items() if value is not None})
        if chosen == Range():
            raise CommandError("Say which events: --story, --from and --to, --since and --until.")
        count = replay(chosen, listener_id=options["listener"], **operator_of(options))
        if not count:
            raise CommandError("No retained event there that this listener takes and has done.")
        self.stdout.write(f"{count} publications made for {options['listener']}.")

    def _rebuild(self, options: dict[str, Any]) -> None:
        try:
            verdict = rebuild(options["into"], say=lambda text: self.stdout.write(f"… {text}"))
        except NotRebuilt as trouble:
            raise CommandError(f"It could not be rebuilt there: {trouble}") from None
        for line in reports.verdict(verdict):
            self.stdout.write(line)
        if not verdict.is_equal:
            raise CommandError("The running database is not what its events make of an empty one.")

    def _tell(self, options: dict[str, Any], document: Any, lines: Any) -> None:
        if options["json"]:
            found = [asdict(row) for row in document] if isinstance(document, list) else document
            self.stdout.write(json.dumps(found, default=_plain, indent=2, ensure_ascii=False))
            return
        for line in lines:
            self.stdout.write(line)


def _plain(value: object) -> str:
    return clock.iso(value) if isinstance(value, datetime) else str(value)
