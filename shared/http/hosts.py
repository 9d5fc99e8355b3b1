"""Which hosts are served; probes answer under any, because they look at nothing of it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware


class KnownHostsMiddleware(CommonMiddleware):
    """
    Django's, which refuses a `Host` that is not in `ALLOWED_HOSTS`, save for probes.

    A supervisor or a container's health check asks 127.0.0.1, which no public name contains.
    It also gives every answer its `Content-Length`.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Refuse an unknown host, unless it asks whether we live."""
        if request.path_info in settings.PROBES:
            return None
        return super().process_request(request)
