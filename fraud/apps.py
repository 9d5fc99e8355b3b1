"""Django app configuration; `ready()` is where the module's listeners register."""

from django.apps import AppConfig


class FraudConfig(AppConfig):
    """Registers the module with Django and its listeners with the event bus."""

    name = "fraud"

    def ready(self) -> None:
        """Import the doors that register themselves."""
        from fraud import listeners  # noqa: F401
