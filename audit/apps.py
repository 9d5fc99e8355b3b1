"""Django app configuration; `ready()` is where the module's listener registers."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Registers the module with Django and its listener with the event bus."""

    name = "audit"

    def ready(self) -> None:
        """Import the door that registers itself."""
        from audit import listeners  # noqa: F401
