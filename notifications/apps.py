"""Django app configuration; `ready()` is where the module's listeners and tasks register."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Registers the module with Django and its listeners with the event bus."""

    name = "notifications"

    def ready(self) -> None:
        """Import the doors that register themselves."""
        from notifications import listeners, tasks  # noqa: F401
