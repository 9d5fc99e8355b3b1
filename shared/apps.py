"""Django app configuration of the shared machinery."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SharedConfig(AppConfig):
    """Registers the machinery's rows and keeps the serving role's rights up to date."""

    name = "shared"

    def ready(self) -> None:
        """Grant the serving role its rights after every migration."""
        from shared.postgres.grants import grant_after_migrate

        post_migrate.connect(
            grant_after_migrate, sender=self, dispatch_uid="shared.grant_after_migrate"
        )
