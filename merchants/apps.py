"""Django app configuration; `ready()` is where the module's tasks register."""

from django.apps import AppConfig


class MerchantsConfig(AppConfig):
    """Registers the module with Django and its jobs with the clock."""

    name = "merchants"

    def ready(self) -> None:
        """Import the doors that register themselves."""
        from merchants import tasks  # noqa: F401
