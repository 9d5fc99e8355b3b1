"""Django app configuration; `ready()` is where the module's listeners and tasks register."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """Registers the module with Django and its listeners with the event bus."""

    name = "payments"

    def ready(self) -> None:
        """Import the doors that register themselves."""
        from payments import listeners, tasks  # noqa: F401
