"""Django app configuration of the shared machinery."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.urls import register_converter


class SharedConfig(AppConfig):
    """Registers the machinery's rows and paths, and keeps the serving role's rights up to date."""

    name = "shared"
    verbose_name = "Event bus and machinery"

    def ready(self) -> None:
        """Let addresses name ids; grant the serving role its rights after every migration."""
        from shared.event_bus import externalise
        from shared.http.paths import Id
        from shared.postgres.grants import grant_after_migrate

        register_converter(Id, "id")
        externalise.register()
        post_migrate.connect(
            grant_after_migrate, sender=self, dispatch_uid="shared.grant_after_migrate"
        )
