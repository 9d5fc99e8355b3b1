"""Django app configuration; `ready()` is where the module's listeners and jobs register."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Registers the module with Django and its listeners with the event bus."""

    name = "ledger"

    def ready(self) -> None:
        """Import the doors that register themselves."""
        from ledger import listeners, tasks  # noqa: F401
