"""Django app configurations of the project itself and of its admin site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class PayflowConfig(AppConfig):
    """The project as an app: its commands, templates and static files."""

    name = "payflow"

    def ready(self) -> None:
        """Register the check of the database roles, and what follows a log-in."""
        from payflow import roles  # noqa: F401
        from payflow.operators import pages  # noqa: F401


class AdminConfig(DjangoAdminConfig):
    """The operators' admin with a front page that says how things stand."""

    default_site = "payflow.admin.PayflowAdminSite"
