"""The WSGI application, for gunicorn and every other server."""

import os

from django.core.wsgi import get_wsgi_application

from shared.http.charset import Utf8Only

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")

application = Utf8Only(get_wsgi_application())


def _join_the_bus() -> None:
    from django.conf import settings

    from payflow.celery import wake_celery
    from payflow.roles import refuse_to_serve_as_owner
    from shared.event_bus import hosting

    refuse_to_serve_as_owner()
    if settings.DISPATCH == "web":
        hosting.drain_in_background(wake_celery=wake_celery)
    else:
        hosting.connect_bells(wake_celery=wake_celery)


_join_the_bus()
