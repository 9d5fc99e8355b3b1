"""`manage.py modules`: write docs/modules.md and docs/events.md from the code."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow.documentation import documents, modules_page, stale


class Command(BaseCommand):
    """Prints the modules' canvases and writes both documents; `--check` only compares."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take `--check`."""
        parser.add_argument(
            "--check", action="store_true", help="write nothing; fail when a document is stale"
        )

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        """Write the documents, or fail when their files differ from the code."""
        if check:
            self._compare()
            return
        self.stdout.write(modules_page.written())
        for path, text in documents(settings.ROOT).items():
            path.write_text(text, encoding="utf-8")

    def _compare(self) -> None:
        old = [str(path.relative_to(settings.ROOT)) for path in stale(settings.ROOT)]
        if old:
            raise CommandError(f"Stale: {', '.join(old)}. Run: .venv/bin/python manage.py modules")
